//! The `stedi-delta` program: a runtime, the command line, an exit code.

use std::process::ExitCode;

/// Batches are allocated by one thread and freed by another; the system allocator is slow at that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The query planner recurses over expressions; deep queries need more than the usual 2 MiB.
const STACK_BYTES: usize = 16 * 1024 * 1024;

fn main() -> ExitCode {
    quiet_uploads();
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK_BYTES).build();
    let Ok(runtime) = built else { return ExitCode::FAILURE };
    let exit_code = runtime.block_on(stedi_delta::cli::main(std::env::args_os().collect()));
    // Work that an interruption left behind is not waited for.
    runtime.shutdown_background();
    ExitCode::from(exit_code)
}

/// The Parquet writer cleans up after a failed upload by a call that may panic, and catches that. The failure itself is
/// reported like any other; only the panic's text would reach standard error.
fn quiet_uploads() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let in_upload =
            panic.location().is_some_and(|l| l.file().contains("object_store") && l.file().ends_with("buffered.rs"));
        if !in_upload {
            usual(panic);
        }
    }));
}
