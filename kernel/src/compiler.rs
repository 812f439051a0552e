//! Ending the compiler that evcxr has started, which it offers no way to do.

use std::collections::HashMap;

use rustix::process::{Pid, Signal, kill_process};

/// End all processes that this one has started, and theirs, but for the process of the cells with its own.
pub fn end_all_but(cells: u32) {
    for process in below(std::process::id(), cells, &parents()) {
        if let Some(process) = i32::try_from(process).ok().and_then(Pid::from_raw) {
            // Fails if it has just ended by itself.
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

fn below(root: u32, spared: u32, parents: &HashMap<u32, u32>) -> Vec<u32> {
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        for (&process, _) in parents.iter().filter(|(process, above)| **above == parent && **process != spared) {
            found.push(process);
            open.push(process);
        }
    }
    found
}

/// All processes, each with the one that started it.
#[cfg(target_os = "linux")]
fn parents() -> HashMap<u32, u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return HashMap::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let process = entry.file_name().to_str()?.parse().ok()?;
            Some((process, parent_in(&std::fs::read_to_string(entry.path().join("stat")).ok()?)?))
        })
        .collect()
}

#[cfg(not(target_os = "linux"))]
fn parents() -> HashMap<u32, u32> {
    let Ok(listed) = std::process::Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output() else {
        return HashMap::new();
    };
    String::from_utf8_lossy(&listed.stdout)
        .lines()
        .filter_map(|line| {
            let mut numbers = line.split_whitespace().map(str::parse);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        })
        .collect()
}

/// `7 (a name) S 3 ...`: the number after the state. A name may hold brackets.
#[cfg(target_os = "linux")]
fn parent_in(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_is_found_with_what_it_started_and_the_cells_are_not() {
        let parents = HashMap::from([(2, 1), (3, 2), (4, 1), (5, 4), (6, 9)]);
        let mut found = below(1, 4, &parents);
        found.sort_unstable();
        assert_eq!(found, [2, 3]);
    }

    #[test]
    fn this_process_has_a_parent() {
        assert_eq!(parents().get(&std::process::id()), Some(&std::os::unix::process::parent_id()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_may_hold_brackets() {
        assert_eq!(parent_in("7 (a) b) S 3 7 7"), Some(3));
        assert_eq!(parent_in("nonsense"), None);
    }
}
