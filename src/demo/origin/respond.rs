//! Answers: what a handler decides, and the headers that every OSS answer has.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use crate::demo::origin::body::OriginBody;
use crate::demo::origin::refusal::Refusal;
use crate::oss::error::ErrorXml;

/// An answer before the common headers.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: OriginBody,
    /// `Content-Length` where it is not the body's: HEAD.
    pub(super) length: Option<u64>,
}

impl Reply {
    /// An empty answer.
    pub(super) fn new(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: OriginBody::empty(),
            length: None,
        }
    }

    /// 200 with an XML document.
    pub(super) fn xml(document: String) -> Self {
        let mut reply = Self::new(StatusCode::OK);
        reply.headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/xml"),
        );
        reply.body = OriginBody::full(Bytes::from(document));
        reply
    }

    /// With header `name`; a value that cannot be one is left out.
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    pub(super) fn set(&mut self, name: &'static str, value: &str) {
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
    }

    /// The error document of `refusal`.
    pub(super) fn refuse(refusal: &Refusal, request_id: &str, host: &str, is_head: bool) -> Self {
        let (status, code, ec, message) = refusal.parts();
        let mut extra = refusal.extra();
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
        if is_head {
            reply.set("x-oss-err", &STANDARD.encode(&document));
            reply.length = Some(document.len() as u64);
        } else {
            reply.body = OriginBody::full(Bytes::from(document));
        }
        reply
    }

    /// The answer as it goes out.
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
        // 204 and 304 have no body and say no length.
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
