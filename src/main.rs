//! The `stedi-delta` program: a runtime, the command line, an exit code.

// The future of the whole program is nested more deeply than the compiler expects.
#![recursion_limit = "256"]

use std::process::ExitCode;

/// Batches are allocated by one thread and freed by another; the system allocator is slow at that.
#[global_allocator]
static ALLOCATOR: stedi_delta_allocator::MiMalloc = stedi_delta_allocator::MiMalloc;

/// The query planner recurses over expressions; conditions of some thousand terms need far more than the usual 2 MiB.
/// Untouched pages of the stack cost no memory.
const STACK_BYTES: usize = 128 * 1024 * 1024;

fn main() -> ExitCode {
    quiet_panics();
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK_BYTES).build();
    let Ok(runtime) = built else { return ExitCode::FAILURE };
    let exit_code = runtime.block_on(stedi_delta::cli::main(std::env::args_os().collect()));
    // Do not wait for work that an interruption left behind.
    runtime.shutdown_background();
    ExitCode::from(exit_code)
}

/// Suppresses the output of expected panics, and of others the text, which may quote data.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        if !stedi_delta::cli::harmless(panic) {
            stedi_delta::cli::tell_panic(panic);
        }
    }));
}
