//! The protocol between the old and the new process of an upgrade.
//!
//! The new process gets the listening sockets in the same way as from systemd: as descriptors from 3 on. The
//! addresses of the sockets are in [`SOCKETS`]. The last descriptor is a datagram socket, on which the new
//! process reports that it serves ([`SERVING`]), or why it does not. The two processes may have different
//! versions of ossgate, so the constants below must never change.

/// The environment variable with the names of the passed sockets, as a JSON list.
pub(super) const SOCKETS: &str = "OSSGATE_SOCKETS";
/// The environment variable with the state of the old process: [`LEAVING`], [`FIT`], both, or an empty text.
pub(super) const STATE: &str = "OSSGATE_STATE";
/// The word for an old process that was draining by command.
pub(super) const LEAVING: &str = "leaving ";
/// The word for an old process that can reach an endpoint.
pub(super) const FIT: &str = "fit ";
/// The report of a new process that serves. Any other report is the reason why it does not serve.
pub(super) const SERVING: &str = "serving";
/// The name of the socket on which the new process reports.
pub(super) const REPORT_SOCKET: &str = "tells";
/// The first passed descriptor, as in sd_listen_fds(3).
pub(super) const FIRST_DESCRIPTOR: i32 = 3;
