//! What OSS and DNS do: addresses, answers, broken transfers, endpoints that fail.

mod answers;
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
