//! Explains the decision of the policy `ip`.

use std::net::IpAddr;

use super::{End, Walk};
use crate::config;
use crate::config::network_list::Network;
use crate::policy::ip::Verdict;
use crate::route::Route;

impl Walk<'_> {
    /// Explains the decision about the client. If `client` is `None`, only explains that the decision depends
    /// on the address. Returns `End` if the client is refused.
    pub(super) fn ip(
        &mut self,
        route: &Route,
        written: Option<&config::Route>,
        client: Option<IpAddr>,
    ) -> Option<End> {
        let policy = route.policies.ip.as_ref()?;
        let Some(client) = client.map(|client| client.to_canonical()) else {
            let finding = "depends on the address of the client: name one with `--client`";
            self.step("ip", finding, None);
            return None;
        };
        let lists = written.and_then(|written| written.policies.ip.as_ref());
        let find = |networks: &[Network]| {
            let mut networks = networks.iter();
            networks
                .find(|network| network.net.contains(&client))
                .copied()
        };
        let verdict = policy.decide(Some(client));
        let (finding, line) = match verdict {
            Verdict::Denied => {
                let network = lists.and_then(|lists| find(&lists.deny));
                let shown = network.map_or_else(String::new, |network| format!(" by `{network}`"));
                let finding = format!("{client} is refused{shown}");
                (finding, network.map(|network| network.line))
            }
            Verdict::NotAllowed | Verdict::Unknown => {
                (format!("{client} is refused: no network allows it"), None)
            }
            Verdict::Served if policy.allow.is_none() => {
                (format!("{client} passes: no network denies it"), None)
            }
            Verdict::Served => {
                if let Some(network) = lists.and_then(|lists| find(&lists.allow)) {
                    let finding = format!("{client} is allowed by `{network}`");
                    (finding, Some(network.line))
                } else {
                    let list = lists.and_then(|lists| lists.file.as_ref());
                    let place = list.and_then(|list| {
                        let network = find(&list.networks)?;
                        let (path, line) = (list.path.display(), network.line);
                        Some(format!(" by `{network}`  ({path}:{line})"))
                    });
                    let place = place.unwrap_or_default();
                    (format!("{client} is allowed{place}"), None)
                }
            }
        };
        self.step("ip", finding, line);
        (verdict != Verdict::Served).then_some(End::Answered(403, Some("ip")))
    }
}
