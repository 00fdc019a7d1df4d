//! The requests of `demo --once`: typical requests of an application, and requests that must be refused.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::cli::demo::client::send;
use crate::cli::demo::world::{BUCKET, DemoError, KEY_ID, KEY_SECRET, REGION, World, wall_clock};
use crate::oss::signature::{
    Keys, Resource, Scope, Signable, v4_canonical_request, v4_signature, v4_string_to_sign,
};
use crate::telemetry::dates::basic_time;

/// The result of one demo request.
pub(crate) struct Try {
    /// The description, as printed.
    pub(crate) what: &'static str,
    pub(crate) result: Result<(), DemoError>,
}

/// Runs every demo request once.
pub(crate) async fn all(world: &World) -> Vec<Try> {
    let mut tries = Vec::new();
    let mut note = |what, result| tries.push(Try { what, result });
    note("GET of an object by IP address", get(world).await);
    note("the same over TLS", get_tls(world).await);
    note("a byte range", range(world).await);
    note("keys with `//`, `+` and spaces", odd_keys(world).await);
    note(
        "upload and download by presigned URLs",
        presigned(world).await,
    );
    note(
        "a wrong signature is refused by OSS, not by the proxy",
        wrong_signature(world).await,
    );
    note(
        "a request for another bucket is not sent to OSS",
        other_bucket(world).await,
    );
    note(
        "a Host that names two hosts is refused",
        two_hosts(world).await,
    );
    note(
        "OSS moves to another address: none of 200 requests fails",
        address_changes(world).await,
    );
    note(
        "DNS fails: the last good addresses stay in use",
        dns_fails(world).await,
    );
    tries
}

fn request(method: Method, host: &str, target: &str) -> Result<http::request::Builder, DemoError> {
    // The target is parsed here, because the builder reports an invalid target only when the request is
    // built.
    let target: http::Uri = target.parse()?;
    Ok(Request::builder()
        .method(method)
        .uri(target)
        .header("host", host))
}

fn empty(builder: http::request::Builder) -> Result<Request<Full<Bytes>>, DemoError> {
    Ok(builder.body(Full::default())?)
}

fn expect(is_met: bool, what: impl FnOnce() -> String) -> Result<(), DemoError> {
    if is_met { Ok(()) } else { Err(what().into()) }
}

async fn fetch(world: &World, target: &str) -> Result<http::Response<Bytes>, DemoError> {
    send(
        world.http,
        None,
        empty(request(Method::GET, "127.0.0.1", target)?)?,
    )
    .await
}

async fn get(world: &World) -> Result<(), DemoError> {
    let answer = fetch(world, "/examplebucket/hello.txt").await?;
    expect(
        answer.status() == StatusCode::OK && answer.body().starts_with(b"Hello"),
        || format!("answered {}", answer.status()),
    )?;
    expect(answer.headers().contains_key("x-oss-request-id"), || {
        "the response is not from OSS".into()
    })
}

async fn get_tls(world: &World) -> Result<(), DemoError> {
    let asked = empty(request(
        Method::GET,
        "localhost",
        "/examplebucket/hello.txt",
    )?)?;
    let answer = send(world.https, Some(&world.ca_pem), asked).await?;
    expect(answer.body().starts_with(b"Hello"), || {
        format!("answered {}", answer.status())
    })
}

async fn range(world: &World) -> Result<(), DemoError> {
    let asked =
        request(Method::GET, "127.0.0.1", "/examplebucket/hello.txt")?.header("range", "bytes=0-4");
    let answer = send(world.http, None, empty(asked)?).await?;
    expect(
        answer.status() == StatusCode::PARTIAL_CONTENT && answer.body() == "Hello",
        || format!("answered {}", answer.status()),
    )
}

async fn odd_keys(world: &World) -> Result<(), DemoError> {
    for target in [
        "/examplebucket/data//two%20slashes",
        "/examplebucket/data/a%2Bb%20c.json",
    ] {
        let answer = fetch(world, target).await?;
        expect(answer.status() == StatusCode::OK, || {
            format!("{target}: answered {}", answer.status())
        })?;
    }
    Ok(())
}

/// Returns the path and query of a presigned path-style URL for `key`.
fn presign(method: &Method, key: &str) -> Result<String, DemoError> {
    let keys = Keys {
        access_key_id: KEY_ID.to_owned(),
        access_key_secret: KEY_SECRET.to_owned(),
        security_token: None,
    };
    let seconds = wall_clock()
        .duration_since(std::time::UNIX_EPOCH)?
        .as_secs();
    let time = basic_time(seconds);
    let scope = Scope {
        date: time.split('T').next().unwrap_or_default(),
        region: REGION,
        product: "oss",
    };
    let credential = format!("{KEY_ID}/{}/{REGION}/oss/aliyun_v4_request", scope.date);
    let query = format!(
        "x-oss-credential={}&x-oss-date={time}&x-oss-expires=600&x-oss-signature-version=OSS4-HMAC-SHA256",
        utf8_percent_encode(&credential, NON_ALPHANUMERIC)
    );
    let headers = http::HeaderMap::new();
    let resource = Resource {
        bucket: Some(BUCKET),
        key: key.as_bytes(),
    };
    let canonical = v4_canonical_request(
        &Signable::new(method, Some(&query), &headers, resource),
        &[],
    );
    let signature = v4_signature(&keys, &scope, &v4_string_to_sign(&time, &scope, &canonical));
    Ok(format!(
        "/{BUCKET}/{key}?{query}&x-oss-signature={signature}"
    ))
}

async fn presigned(world: &World) -> Result<(), DemoError> {
    let body = Bytes::from_static(b"written through the proxy");
    let put = request(Method::PUT, "127.0.0.1", &presign(&Method::PUT, "new.txt")?)?;
    let put = put.body(Full::new(body.clone()))?;
    let answer = send(world.http, None, put).await?;
    expect(answer.status() == StatusCode::OK, || {
        format!(
            "PUT answered {}: {}",
            answer.status(),
            String::from_utf8_lossy(answer.body())
        )
    })?;
    let answer = fetch(world, &presign(&Method::GET, "new.txt")?).await?;
    expect(answer.body() == &body, || {
        format!("GET answered {}", answer.status())
    })
}

async fn wrong_signature(world: &World) -> Result<(), DemoError> {
    let answer = fetch(world, &format!("{}0", presign(&Method::GET, "hello.txt")?)).await?;
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    let is_refused =
        answer.status() == StatusCode::FORBIDDEN && text.contains("SignatureDoesNotMatch");
    expect(
        is_refused && answer.headers().contains_key("x-oss-request-id"),
        || format!("answered {}: {text}", answer.status()),
    )
}

async fn other_bucket(world: &World) -> Result<(), DemoError> {
    let before = world.origin.requests();
    let answer = fetch(world, "/somebody-elses/hello.txt").await?;
    expect(answer.status() == StatusCode::NOT_FOUND, || {
        format!("answered {}", answer.status())
    })?;
    expect(world.origin.requests() == before, || {
        "the request reached the origin".into()
    })
}

async fn two_hosts(world: &World) -> Result<(), DemoError> {
    let asked = empty(request(
        Method::GET,
        "a.example, b.example",
        "/examplebucket/hello.txt",
    )?)?;
    let answer = send(world.http, None, asked).await?;
    expect(answer.status() == StatusCode::BAD_REQUEST, || {
        format!("answered {}", answer.status())
    })
}

async fn many(world: &World, count: usize) -> Result<(), DemoError> {
    for number in 0..count {
        let answer = fetch(world, "/examplebucket/hello.txt").await?;
        expect(answer.status() == StatusCode::OK, || {
            format!("request {number} answered {}", answer.status())
        })?;
    }
    Ok(())
}

async fn address_changes(world: &World) -> Result<(), DemoError> {
    for round in [1, 0, 1, 0] {
        world.point_dns_at(round);
        many(world, 50).await?;
    }
    Ok(())
}

async fn dns_fails(world: &World) -> Result<(), DemoError> {
    world.dns.set(crate::demo::dns::DnsAnswer::Silent);
    let outcome = many(world, 50).await;
    world.point_dns_at(0);
    outcome
}
