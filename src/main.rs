//! The `ossgate` program: sets the allocator and returns the exit code.

use std::process::ExitCode;

// jemalloc was measured against the system's allocator and mimalloc. It is best for large TLS bodies and
// for idle connections.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    ExitCode::from(ossgate::cli::main())
}
