//! `print!` whose text is seen at once.
//!
//! Rust holds text back until its line ends. In a cell such a text would appear with the next one's, and a row of dots
//! all at once.

/// Takes the place of the standard `print!` in all cells that come after it.
pub const FLUSHING: &str = "\
macro_rules! print {
    ($($text:tt)*) => {{
        ::std::print!($($text)*);
        let _ = ::std::io::Write::flush(&mut ::std::io::stdout());
    }};
}";

pub fn is_used(code: &str) -> bool {
    code.match_indices("print!").any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// Whether a cell makes evcxr forget what earlier ones defined.
pub fn is_forgotten(code: &str) -> bool {
    code.lines().any(|line| line.trim_start().starts_with(":clear"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_macro_itself_counts() {
        assert!(is_used("print!(\".\")"));
        assert!(is_used("{print!(\".\")}"));
        for code in ["println!()", "eprint!(\".\")", "pretty_print!()", "print(1)"] {
            assert!(!is_used(code), "{code}");
        }
    }

    #[test]
    fn a_cell_may_clear_everything() {
        assert!(is_forgotten("1;\n:clear"));
        assert!(!is_forgotten("clear()"));
    }
}
