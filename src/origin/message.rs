//! The messages of the proxy's error responses. A message says what happened, at which endpoint, what usually
//! causes it, what to change, and whether OSS was reached.

use rustls::AlertDescription;

use crate::origin::connect_error::{
    CertificateFault, ConnectError, ConnectFault, RejectedCertificate, TlsFault,
};
use crate::origin::endpoint_info::EndpointInfo;
use crate::origin::error::{BoundHosts, DnsFailure, Error};
use crate::oss::endpoint::{self, Network};

impl Error {
    /// Returns the message for the client. `endpoint` is the endpoint of the last attempt; `None` if there was
    /// no attempt.
    #[must_use]
    pub fn message(&self, endpoint: Option<&EndpointInfo>) -> String {
        let at = endpoint.map_or("The OSS endpoint".to_owned(), |endpoint| {
            format!("The OSS endpoint `{}`", endpoint.label())
        });
        match self {
            Self::NoSuchBucket => "The request names a bucket this proxy does not serve. OSS was not asked.".into(),
            Self::NoBucket => "The request names no bucket, and ListBuckets is not served by this proxy \
                 (`list_buckets` of its route). OSS was not asked."
                .into(),
            Self::Dns(failure) => format!(
                "{at} cannot be resolved: {failure}. {} OSS was not reached.",
                dns_advice(*failure, endpoint)
            ),
            Self::Connect(error) => format!(
                "{at} {} The request was not sent, and OSS was not reached.",
                connect_message(error, endpoint)
            ),
            Self::Reset(_) => format!(
                "{at} closed the connection before it answered. {} It may or may not have acted on the request.",
                reset_advice(endpoint)
            ),
            Self::SpeaksTls => format!(
                "{at} responded with TLS to a request without TLS. {SPEAKS_TLS} OSS did not get the request."
            ),
            Self::BadAnswer(what) => format!(
                "{at} answered with something that cannot be passed on: {what}. The fault is not the client's. {NOT_OSS}"
            ),
            Self::FirstByteTimeout => format!(
                "The request was sent and OSS did not answer in time (`timeouts.first_byte` of the route's origin). {at} \
                 may or may not have acted on it."
            ),
            Self::Gone => "The request was sent, and the address of OSS it was sent to can no longer be reached. OSS may or \
                 may not have acted on it."
                .into(),
            Self::UploadStalled => format!(
                "{at} stopped taking the request body. No object is created by an incomplete upload."
            ),
            Self::ClientBody => "The request body ended before its announced end. The fault is the client's or its network's.".into(),
            Self::Busy => "The proxy has as many requests on their way to OSS as it is allowed. OSS was not asked.".into(),
            Self::SignatureBound => "The OSS endpoint cannot be connected to, and the request's signature is for its \
                 host or for a region the other endpoints are not of, so it cannot be sent to them. A signature without \
                 `host` among its additional headers can. OSS was not reached."
                .into(),
            Self::SignatureBoundToHost(hosts) => {
                let BoundHosts { signed, sent } = &**hosts;
                format!(
                "The request's signature covers the Host header, for which the client sent `{signed}`. The proxy sends OSS \
                 the Host `{sent}`, so OSS would find that the signature does not match. Ways out: bind the domain \
                 `{signed}` to the bucket and set `host` of the proxy's origin to it; let the name `{sent}` resolve to the \
                 proxy, so that the client signs OSS's own name; with OSS V4, sign without `host` among the additional \
                 headers. OSS was not asked."
            )}
            Self::NotSigned(why) => format!(
                "The request is not signed, and the proxy cannot sign it with its own access key: {why}. A client with an \
                 access key of its own can sign the request. OSS was not asked."
            ),
            Self::NoCredentials(missing) => format!(
                "The proxy has no valid access key to sign the request with (credentials source `{}`). The log of the \
                 proxy has the reason. OSS was not asked.",
                missing.source
            ),
            Self::OwnSignature(code) => format!(
                "{at} refused the signature that the proxy made with its own access key ({code}). The fault is the \
                 proxy's or its operator's, not the client's. OSS did nothing."
            ),
            Self::Rewrite(_) => "The request target cannot be sent to OSS. OSS was not asked.".into(),
        }
    }

    /// Returns the usual cause of a failure to get a response from OSS, and how to correct it, for the log.
    /// Returns `None` if the request was not sent to OSS because of the request itself or a missing access key,
    /// or if the client sent an incomplete body.
    #[must_use]
    pub(super) fn advice(&self, endpoint: &EndpointInfo) -> Option<String> {
        Some(match self {
            Self::Dns(failure) => dns_advice(*failure, Some(endpoint)),
            Self::Connect(error) => connect_advice(error, endpoint),
            Self::Reset(_) => reset_advice(Some(endpoint)).to_owned(),
            Self::SpeaksTls => SPEAKS_TLS.to_owned(),
            Self::BadAnswer(_) => NOT_OSS.to_owned(),
            Self::FirstByteTimeout => {
                "OSS or the network to it is slow. `timeouts.first_byte` of the route's origin limits the wait.".to_owned()
            }
            Self::Gone => "The network to the endpoint broke, or the endpoint moved to another address.".to_owned(),
            Self::UploadStalled => {
                "OSS or the network to it is slow. `timeouts.idle` of the route's origin limits the wait.".to_owned()
            }
            Self::OwnSignature(_) => "Check the access key of the route's `credentials`, its rights, `sign.region`, and the \
                 clock of the proxy's machine."
                .to_owned(),
            Self::Busy => "Raise `pool.max_per_address` of the route's origin, or the limit on open files of the \
                 process."
                .to_owned(),
            Self::NoSuchBucket
            | Self::NoBucket
            | Self::ClientBody
            | Self::SignatureBound
            | Self::SignatureBoundToHost(_)
            | Self::NotSigned(_)
            | Self::NoCredentials(_)
            | Self::Rewrite(_) => return None,
        })
    }
}

/// The advice if the endpoint responds with TLS to a connection without TLS.
const SPEAKS_TLS: &str =
    "Set `tls = true` in the origin of the route, or use the port for plain HTTP.";
/// The advice if the response does not look like a response of OSS.
const NOT_OSS: &str = "Check that host and port of the endpoint are those of OSS.";

fn reset_advice(endpoint: Option<&EndpointInfo>) -> &'static str {
    match endpoint {
        Some(endpoint) if !endpoint.tls => {
            "If this port expects TLS, set `tls = true` in the origin of the route. Other usual causes: the bucket is not \
             at this endpoint, the bucket is restricted for a security reason, or a firewall ends connections."
        }
        _ => {
            "Usual causes: the bucket is not at this endpoint, the bucket is restricted for a security reason, or a \
             firewall ends connections."
        }
    }
}

fn dns_advice(failure: DnsFailure, endpoint: Option<&EndpointInfo>) -> String {
    let network = endpoint.and_then(|endpoint| endpoint.network);
    let text = match failure {
        DnsFailure::Pending => "The proxy has just started; send the request again.",
        DnsFailure::NxDomain => "Check the region and the endpoint in the origin of the route.",
        DnsFailure::ServerFailure | DnsFailure::Timeout if network == Some(Network::Internal) => {
            "Check the name servers of the proxy (`dns.servers`, otherwise those of the system). On ECS they are \
             100.100.2.136 and 100.100.2.138."
        }
        DnsFailure::ServerFailure | DnsFailure::Timeout => {
            "Check the name servers of the proxy (`dns.servers`, otherwise those of the system), and that UDP and TCP \
             port 53 to them is allowed."
        }
        DnsFailure::Empty => {
            "Check `dns.family`: only dual-stack endpoints (`network = \"dualstack\"`) have IPv6 addresses."
        }
        DnsFailure::Forbidden => {
            "Check the name servers of the proxy: someone may have forged the DNS answer."
        }
    };
    text.to_owned()
}

/// Returns what happened, followed by the advice. The text continues a sentence whose subject is the endpoint.
fn connect_message(error: &ConnectError, endpoint: Option<&EndpointInfo>) -> String {
    let what = match &error.fault {
        ConnectFault::Refused => "refused the proxy's TCP connection.".to_owned(),
        ConnectFault::NoRoute(error) => {
            format!(
                "is unreachable from the proxy's machine ({}).",
                io_text(error)
            )
        }
        ConnectFault::TimedOut => format!(
            "did not accept the proxy's TCP connection{}.",
            within(endpoint)
        ),
        ConnectFault::Tcp(error) => {
            format!("cannot be connected to over TCP ({}).", io_text(error))
        }
        ConnectFault::Tls(fault) => tls_message(fault, endpoint),
    };
    match endpoint {
        None => what,
        Some(endpoint) => format!("{what} {}", connect_advice(error, endpoint)),
    }
}

fn within(endpoint: Option<&EndpointInfo>) -> String {
    let timeout = endpoint.map(|endpoint| endpoint.connect_timeout);
    timeout.map_or(String::new(), |timeout| {
        format!(" within {timeout:?} (`timeouts.connect`)")
    })
}

fn tls_message(fault: &TlsFault, endpoint: Option<&EndpointInfo>) -> String {
    match fault {
        TlsFault::Certificate(rejected) => {
            let wanted = match (&rejected.fault, endpoint) {
                (CertificateFault::WrongName, Some(endpoint)) => {
                    format!(", and must be for `{}`", endpoint.tls_name)
                }
                _ => String::new(),
            };
            format!("has a certificate that the proxy does not accept: {rejected}{wanted}.")
        }
        TlsFault::NotTls => {
            "responded to the proxy's TLS handshake with something that is not TLS.".to_owned()
        }
        TlsFault::Closed => "closed the connection during the TLS handshake.".to_owned(),
        TlsFault::Reset => "reset the connection during the TLS handshake.".to_owned(),
        TlsFault::TimedOut => format!(
            "accepted the proxy's TCP connection, but did not complete the TLS handshake{}.",
            within(endpoint)
        ),
        TlsFault::Alert(alert) => {
            format!("refused the proxy's TLS handshake with the alert {alert:?}.")
        }
        TlsFault::Incompatible => {
            "has no TLS version or cipher suite in common with the proxy.".to_owned()
        }
        TlsFault::Other(error) => format!("failed in the TLS handshake ({}).", io_text(error)),
    }
}

fn connect_advice(error: &ConnectError, endpoint: &EndpointInfo) -> String {
    match &error.fault {
        ConnectFault::Refused
        | ConnectFault::NoRoute(_)
        | ConnectFault::TimedOut
        | ConnectFault::Tcp(_) => reach_advice(endpoint),
        ConnectFault::Tls(fault) => tls_advice(fault, endpoint),
    }
}

/// Returns what usually prevents a TCP connection to the endpoint, and how to correct it.
fn reach_advice(endpoint: &EndpointInfo) -> String {
    let port = endpoint.port;
    match endpoint.network {
        Some(Network::Internal) => {
            let region = endpoint.region.as_deref();
            let of = region.map_or(String::new(), |region| format!(" ({region})"));
            let ranges = region
                .and_then(endpoint::region)
                .map(|region| region.internal_ranges.replace(',', ", "))
                .filter(|ranges| !ranges.is_empty())
                .map_or(String::new(), |ranges| format!(" to {ranges}"));
            format!(
                "This is an internal endpoint: it accepts connections only from Alibaba Cloud's network in its own \
                 region{of}. If the proxy runs elsewhere, set `network = \"public\"` in the origin of the route. If the \
                 proxy runs in this region, check that its security group and routes allow TCP port {port}{ranges}."
            )
        }
        Some(Network::DualStack) => format!(
            "This endpoint is on the internet and has IPv4 and IPv6 addresses. Check that the proxy's machine can reach \
             the internet over the families of `dns.family`, and that its security group and firewall allow TCP port \
             {port} to the outside."
        ),
        Some(Network::Public | Network::Accelerate | Network::AccelerateOverseas) => format!(
            "This endpoint is on the internet. Check that the proxy's machine has a public IP or a NAT gateway, and that \
             its security group and firewall allow TCP port {port} to the outside."
        ),
        None => format!(
            "Check host and port {port} of `endpoint` in the origin of the route, and the security group, routes and \
             firewall between the proxy and this host."
        ),
    }
}

/// Returns what usually makes a TLS handshake with the endpoint fail, and how to correct it.
fn tls_advice(fault: &TlsFault, endpoint: &EndpointInfo) -> String {
    let port = endpoint.port;
    match fault {
        TlsFault::Certificate(rejected) => certificate_advice(rejected, endpoint),
        TlsFault::NotTls => format!(
            "Port {port} seems to be for plain HTTP: set `tls = false` in the origin of the route, or name the port for TLS."
        ),
        TlsFault::Alert(AlertDescription::ProtocolVersion) => {
            "The endpoint has neither TLS 1.2 nor TLS 1.3; OSS has both. Check that host and port are those of OSS.".to_owned()
        }
        TlsFault::Closed | TlsFault::Reset | TlsFault::Alert(_) => format!(
            "Check that port {port} is for TLS. A firewall or a middlebox that filters TLS by host name also does this; the \
             name sent is `{}`.",
            endpoint.tls_name
        ),
        TlsFault::TimedOut => format!(
            "Check that port {port} is for TLS. A network that drops large packets (MTU) also does this."
        ),
        TlsFault::Incompatible => {
            "The proxy uses TLS 1.2 and 1.3; OSS supports both. Check that host and port are those \
             of OSS."
                .to_owned()
        }
        TlsFault::Other(_) => "Check that host and port are those of OSS.".to_owned(),
    }
}

fn certificate_advice(rejected: &RejectedCertificate, endpoint: &EndpointInfo) -> String {
    // The certificates of OSS are issued by public CAs for the names of its endpoints.
    let stranger = "OSS does not have such a certificate, so another machine answers in its place: a middlebox that \
         inspects TLS, or a host that a wrong DNS answer names.";
    match &rejected.fault {
        CertificateFault::SelfSigned { .. }
        | CertificateFault::UnknownIssuer
        | CertificateFault::OtherIssuerKey
            if endpoint.network.is_some() =>
        {
            format!(
                "{stranger} If this is intended, name the CA in `ca` of the route's origin. A machine with very old CA \
                 certificates can also cause this."
            )
        }
        CertificateFault::SelfSigned { is_ca: true } => "A certificate that is marked as a CA cannot also be the \
             certificate of a server: make one with `basicConstraints = CA:FALSE`, and name it in `ca` of the route's origin."
            .to_owned(),
        CertificateFault::SelfSigned { is_ca: false } => {
            "If this certificate is right, name its file in `ca` of the route's origin.".to_owned()
        }
        CertificateFault::UnknownIssuer => {
            "If this CA is right, name its certificate in `ca` of the route's origin.".to_owned()
        }
        CertificateFault::OtherIssuerKey => "If the CA was made anew, name its new certificate in `ca` of the route's \
             origin."
            .to_owned(),
        CertificateFault::WrongName if endpoint.network.is_some() => format!("{stranger} Check `server_name`, if it is set."),
        CertificateFault::WrongName => "Check `endpoint`. If the certificate is right, set `server_name` in the origin of \
             the route to one of its names."
            .to_owned(),
        CertificateFault::Expired(_) | CertificateFault::NotYetValid(_) => {
            "Check the clock of the proxy's machine first. If the clock is right, the certificate must be renewed at the \
             endpoint."
                .to_owned()
        }
        CertificateFault::Other(_) => "Check that host and port are those of OSS.".to_owned(),
    }
}

/// Returns the text of an I/O error without its number.
fn io_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
