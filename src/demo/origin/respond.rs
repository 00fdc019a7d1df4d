//! Responses: the result of a handler, and the header fields that every OSS response has.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use crate::demo::origin::body::OriginBody;
use crate::demo::origin::error::OssError;
use crate::oss::error::ErrorXml;

/// A response without the header fields that every OSS response has.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: OriginBody,
    /// The value of `Content-Length` if it differs from the length of the body, as for HEAD; otherwise
    /// `None`.
    pub(super) length: Option<u64>,
}

impl Reply {
    /// Returns a response without a body.
    pub(super) fn new(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: OriginBody::empty(),
            length: None,
        }
    }

    /// Returns a 200 response with an XML document.
    pub(super) fn xml(document: String) -> Self {
        let mut reply = Self::new(StatusCode::OK);
        reply.headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/xml"),
        );
        reply.body = OriginBody::full(Bytes::from(document));
        reply
    }

    /// Sets header field `name`. A value that is not valid in a header field is ignored.
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    /// Sets header field `name`. A value that is not valid in a header field is ignored.
    pub(super) fn set(&mut self, name: &'static str, value: &str) {
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
    }

    /// Returns the response for `error`, with an error document. For HEAD, the document is sent as base64 in
    /// the header field `x-oss-err`.
    pub(super) fn error(error: &OssError, request_id: &str, host: &str, method: &Method) -> Self {
        let (status, code, ec, message) = error.parts();
        let mut extra = error.extra();
        if let Some(ec) = &ec {
            extra.push((String::from("EC"), ec.clone()));
            extra.push((
                String::from("RecommendDoc"),
                format!("https://api.aliyun.com/troubleshoot?q={ec}"),
            ));
        }
        let extra: Vec<(&str, &str)> = extra
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let document = ErrorXml {
            code: &code,
            message: &message,
            request_id,
            host_id: host,
            extra: &extra,
        }
        .to_bytes();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut reply = Self::new(status);
        if let Some(ec) = &ec {
            reply.set("x-oss-ec", ec);
        }
        reply.set("content-type", "application/xml");
        if *method == Method::HEAD {
            reply.set("x-oss-err", &STANDARD.encode(&document));
            reply.length = Some(document.len() as u64);
        } else {
            reply.body = OriginBody::full(Bytes::from(document));
        }
        reply
    }

    /// Adds the header fields that every OSS response has.
    pub(super) fn finish(
        mut self,
        request_id: &str,
        date: &str,
        milliseconds: u128,
    ) -> Response<OriginBody> {
        self.set("server", "AliyunOSS");
        self.set("date", date);
        self.set("x-oss-request-id", request_id);
        self.set("x-oss-server-time", &milliseconds.to_string());
        // Responses with 204 and 304 have neither a body nor `Content-Length`.
        let has_length = !matches!(
            self.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
        if has_length {
            let length = self.length.unwrap_or_else(|| self.body.length());
            self.headers
                .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}
