//! PostObject: an upload by an HTML form. The signature is in the fields of the form.
//!
//! The signature covers the base64 text of the field `policy`. It is a V1 signature (`OSSAccessKeyId`,
//! `Signature`) or a V4 signature (`x-oss-credential`, `x-oss-signature`). Header fields and query are not
//! signed. The demo origin checks only two parts of the policy: `expiration` and the condition
//! `content-length-range`.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::demo::origin::error::OssError;
use crate::demo::origin::object::{kept_headers, object_of};
use crate::demo::origin::options::Acl;
use crate::demo::origin::receive::{Received, RequestBody, read};
use crate::demo::origin::request::OssRequest;
use crate::demo::origin::respond::Reply;
use crate::demo::origin::store::Kind;
use crate::demo::origin::time::iso;
use crate::demo::origin::xml::Xml;

/// The maximum length of a form, in bytes.
const FORM_LIMIT: usize = 64 * 1024 * 1024;

/// The length of an ISO 8601 time up to its seconds. If times are cut to this length, the order of the
/// strings is the chronological order.
const TO_THE_SECOND: usize = "2025-01-02T03:04:05".len();

/// A parsed form: the fields before the file, and the file.
struct Form<'a> {
    fields: Vec<(String, &'a [u8])>,
    file: &'a [u8],
    file_name: String,
}

/// Handles `POST /` with `multipart/form-data`.
pub(super) async fn post(
    request: &OssRequest<'_>,
    name: &str,
    body: RequestBody<'_>,
) -> Result<Reply, OssError> {
    let content_type = request.header("content-type").unwrap_or_default();
    let boundary = content_type
        .split(';')
        .filter_map(|part| part.trim().strip_prefix("boundary="))
        .map(|boundary| boundary.trim_matches('"').to_owned())
        .next()
        .ok_or(OssError::MalformedForm)?;
    let bytes = read(body, FORM_LIMIT, request.entry).await?;
    let form = Form::parse(&bytes, &boundary).ok_or(OssError::MalformedForm)?;
    let is_signed = request
        .state
        .options
        .verify
        .verify_form(&|field| form.text(field))
        .map_err(OssError::Denied)?;
    if is_signed {
        check_policy(request, &form)?;
    } else {
        request.state.store.with(name, |bucket| {
            if bucket.options.acl == Acl::PublicReadWrite {
                Ok(())
            } else {
                Err(OssError::AccessDenied)
            }
        })?;
    }
    let key = form
        .text("key")
        .ok_or(OssError::MissingArgument("key"))?
        .replace("${filename}", &form.file_name)
        .into_bytes();
    let mut object = object_of(
        Received::of(Bytes::copy_from_slice(form.file)),
        Kind::Normal,
        request.now,
        form.headers(),
    );
    if let Some(acl) = form.text("x-oss-object-acl") {
        object.acl = acl;
    }
    let etag = object.etag.clone();
    request.state.store.with(name, |bucket| {
        bucket.objects.insert(key.clone(), Arc::new(object));
        Ok(())
    })?;
    Ok(answer(request, &form, name, &key, &etag))
}

fn answer(
    request: &OssRequest<'_>,
    form: &Form<'_>,
    bucket: &str,
    key: &[u8],
    etag: &str,
) -> Reply {
    if let Some(target) = form.text("success_action_redirect") {
        return Reply::new(StatusCode::SEE_OTHER).with("location", &target);
    }
    let quoted = format!("\"{etag}\"");
    match form.text("success_action_status").as_deref() {
        Some("200") => Reply::new(StatusCode::OK).with("etag", &quoted),
        Some("201") => {
            let key = String::from_utf8_lossy(key);
            let mut xml = Xml::new("PostResponse");
            xml.leaf("Bucket", bucket);
            xml.leaf("ETag", etag);
            xml.leaf("Key", &key);
            xml.leaf("Location", &format!("http://{}/{key}", request.host));
            let mut reply = Reply::xml(xml.finish("PostResponse")).with("etag", &quoted);
            reply.status = StatusCode::CREATED;
            reply
        }
        _ => Reply::new(StatusCode::NO_CONTENT).with("etag", &quoted),
    }
}

/// Checks that a signed form complies with its policy.
fn check_policy(request: &OssRequest<'_>, form: &Form<'_>) -> Result<(), OssError> {
    let invalid = || OssError::InvalidArgument {
        name: "policy",
        value: form.text("policy").unwrap_or_default(),
    };
    let document = STANDARD
        .decode(form.text("policy").unwrap_or_default())
        .ok()
        .and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok())
        .ok_or_else(invalid)?;
    let expires = document
        .get("expiration")
        .and_then(|text| text.as_str())
        .and_then(|text| text.get(..TO_THE_SECOND))
        .ok_or_else(invalid)?;
    if iso(request.now).get(..TO_THE_SECOND) > Some(expires) {
        return Err(OssError::PolicyViolated("Policy expired."));
    }
    let conditions = document.get("conditions").and_then(|list| list.as_array());
    for condition in conditions.into_iter().flatten() {
        if condition.get(0).and_then(|kind| kind.as_str()) == Some("content-length-range") {
            let bound = |place| condition.get(place).and_then(serde_json::Value::as_u64);
            let length = form.file.len() as u64;
            if bound(1).is_some_and(|least| length < least)
                || bound(2).is_some_and(|most| length > most)
            {
                return Err(OssError::PolicyViolated(
                    "Your proposed upload is outside the range of the policy.",
                ));
            }
        }
    }
    Ok(())
}

impl<'a> Form<'a> {
    /// Parses the fields up to `file`. Like OSS, it ignores the fields after `file`.
    fn parse(body: &'a [u8], boundary: &str) -> Option<Self> {
        let delimiter = format!("--{boundary}");
        let between = format!("\r\n{delimiter}");
        let mut rest = body.strip_prefix(delimiter.as_bytes())?;
        let mut fields = Vec::new();
        loop {
            rest = rest.strip_prefix(b"\r\n")?;
            let head_end = find(rest, b"\r\n\r\n")?;
            let (head, after) = (rest.get(..head_end)?, rest.get(head_end + 4..)?);
            let length = find(after, between.as_bytes())?;
            let value = after.get(..length)?;
            rest = after.get(length + between.len()..)?;
            let head = std::str::from_utf8(head).ok()?;
            let name = parameter(head, "name")?;
            if name == "file" {
                return Some(Self {
                    fields,
                    file: value,
                    file_name: parameter(head, "filename").unwrap_or_default(),
                });
            }
            fields.push((name.to_ascii_lowercase(), value));
        }
    }

    /// Returns field `name` as text. The name is not case-sensitive.
    fn text(&self, name: &str) -> Option<String> {
        let name = name.to_ascii_lowercase();
        self.fields
            .iter()
            .find(|(found, _)| *found == name)
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    /// Returns the fields that become header fields of the object.
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.fields {
            if let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_bytes(value),
            ) {
                headers.insert(name, value);
            }
        }
        kept_headers(&headers)
    }
}

/// Returns parameter `name` of a field's `Content-Disposition`.
fn parameter(head: &str, name: &str) -> Option<String> {
    let line = head.lines().find(|line| {
        line.get(..20)
            .is_some_and(|start| start.eq_ignore_ascii_case("content-disposition:"))
    })?;
    let start = format!("{name}=\"");
    line.split(';')
        .filter_map(|part| part.trim().strip_prefix(&start))
        .map(|value| value.trim_end_matches('"').to_owned())
        .next()
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes
        .windows(part.len().max(1))
        .position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_before_the_file_and_its_bytes_are_kept() {
        let body =
            b"--b\r\nContent-Disposition: form-data; name=\"Key\"\r\n\r\na/${filename}\r\n--b\r\n\
            Content-Disposition: form-data; name=\"file\"; filename=\"x.bin\"\r\n\
            Content-Type: text/plain\r\n\r\n\r\n--c\r\n\xff\r\n--b\r\n\
            Content-Disposition: form-data; name=\"late\"\r\n\r\nx\r\n--b--\r\n";
        let form = Form::parse(body, "b").unwrap();
        assert_eq!(form.text("key").unwrap(), "a/${filename}");
        assert_eq!(form.file, b"\r\n--c\r\n\xff");
        assert_eq!(form.file_name, "x.bin");
        assert_eq!(form.text("late"), None);
    }

    #[test]
    fn a_malformed_form_is_not_parsed() {
        for body in [
            &b""[..],
            b"--b",
            b"--b\r\n",
            b"--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nx",
            b"--b\r\nx\r\n\r\ny\r\n--b--",
        ] {
            assert!(Form::parse(body, "b").is_none(), "{body:?}");
        }
    }
}
