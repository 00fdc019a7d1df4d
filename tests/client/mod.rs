//! What clients send, how they read their answers, and how their connections end.

mod arbitrary;
mod certificate_choice;
mod client_address;
mod cork;
mod forward;
mod frame_budget;
mod http2;
mod http2_ends;
mod leaving;
mod limits;
mod slow;
mod tls;
mod tls_failures;
mod whole_upload;
mod wrong_port;
