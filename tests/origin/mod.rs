//! Changes and faults of OSS and DNS: addresses, DNS answers, broken transfers, failing endpoints.

mod answers;
mod failing;
mod faults;
mod load;
mod moving;
mod pool;
mod resolve;
mod resume;
mod retries;
mod tier_change;
mod tiers;
mod tls;
mod uploads;
