//! Ending the compiler that evcxr has started, which it offers no way to do.

use std::process::id;

use rustix::process::{Pid, Signal, kill_process};

#[derive(Debug, PartialEq)]
struct Process {
    number: u32,
    parent: u32,
    group: u32,
}

/// End all processes that this one has started, and theirs, but for the process of the cells with its own. What has a
/// group of its own, as the watcher that clears up behind the kernel, is not meant either.
pub fn end_all_but(cells: u32) {
    for number in below(id(), cells, &processes()) {
        if let Some(process) = i32::try_from(number).ok().and_then(Pid::from_raw) {
            // Fails if it has just ended by itself.
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

fn below(root: u32, spared: u32, processes: &[Process]) -> Vec<u32> {
    let Some(root) = processes.iter().find(|process| process.number == root) else { return Vec::new() };
    let mut found = Vec::new();
    let mut open = vec![root.number];
    while let Some(parent) = open.pop() {
        let meant = |one: &&Process| one.parent == parent && one.number != spared && one.group == root.group;
        for process in processes.iter().filter(meant) {
            found.push(process.number);
            open.push(process.number);
        }
    }
    found
}

#[cfg(target_os = "linux")]
fn processes() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            described(number, &std::fs::read_to_string(entry.path().join("stat")).ok()?)
        })
        .collect()
}

#[cfg(not(target_os = "linux"))]
fn processes() -> Vec<Process> {
    let Ok(listed) = std::process::Command::new("ps").args(["-A", "-o", "pid=,ppid=,pgid="]).output() else {
        return Vec::new();
    };
    String::from_utf8_lossy(&listed.stdout)
        .lines()
        .filter_map(|line| {
            let mut numbers = line.split_whitespace().map(str::parse);
            let mut next = || numbers.next()?.ok();
            Some(Process { number: next()?, parent: next()?, group: next()? })
        })
        .collect()
}

/// `7 (a name) S 3 5 ...`: parent and group come after the state. A name may hold brackets.
#[cfg(target_os = "linux")]
fn described(number: u32, stat: &str) -> Option<Process> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(1);
    let mut next = || fields.next()?.parse().ok();
    Some(Process { number, parent: next()?, group: next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_is_found_with_what_it_started_and_nothing_else() {
        let process = |number, parent, group| Process { number, parent, group };
        let (kernel, compiler, cells, watcher) =
            (process(1, 0, 1), process(2, 1, 1), process(4, 1, 1), process(6, 1, 6));
        let processes = [kernel, compiler, process(3, 2, 1), cells, process(5, 4, 1), watcher, process(7, 9, 1)];
        let mut found = below(1, 4, &processes);
        found.sort_unstable();
        assert_eq!(found, [2, 3]);
    }

    #[test]
    fn this_process_has_a_parent() {
        let this = processes().into_iter().find(|process| process.number == id());
        assert_eq!(this.map(|this| this.parent), Some(std::os::unix::process::parent_id()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_may_hold_brackets() {
        assert_eq!(described(7, "7 (a) b) S 3 5 7"), Some(Process { number: 7, parent: 3, group: 5 }));
        assert_eq!(described(7, "nonsense"), None);
    }
}
