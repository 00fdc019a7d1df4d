//! What clients send, how they take their answers, and how they leave.

mod arbitrary;
mod client_address;
mod cork;
mod forward;
mod frame_budget;
mod http2;
mod leaving;
mod limits;
mod slow;
mod tls;
