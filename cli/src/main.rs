//! The command line; see [`candle_explain_cli`].

/// The allocator: requests take many small pieces of memory and soon free them.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// mimalloc's number for the milliseconds after which memory that was freed goes back to the system.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

fn main() -> std::process::ExitCode {
    // The default is a second. Large bodies come and go in many threads, and each would keep its share.
    // SAFETY: an option may be set at any time.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, 0) };
    const THREADS: &str = "RAYON_NUM_THREADS";
    if std::env::var_os(THREADS).is_none() {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        // Without it candle reads /proc/cpuinfo before every product of matrices.
        // SAFETY: no other thread is there yet.
        unsafe { std::env::set_var(THREADS, cores.to_string()) };
    }
    candle_explain_cli::run()
}
