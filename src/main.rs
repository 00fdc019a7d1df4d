//! The `ossgate` program: allocator, exit code, nothing else.

use std::process::ExitCode;

// Measured against the system's and mimalloc: best on large TLS bodies and on idle connections.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    ExitCode::from(ossgate::cli::main())
}
