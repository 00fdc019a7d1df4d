//! The `ossgate` program: sets the allocator and returns the exit code.

use std::process::ExitCode;

// In measurements with large TLS bodies and with idle connections, jemalloc is better than the system's
// allocator and mimalloc.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    ExitCode::from(ossgate::cli::main())
}
