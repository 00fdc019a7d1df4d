//! The handler for DeleteMultipleObjects.

use crate::demo::origin::error::OssError;
use crate::demo::origin::keys::KeyEncoding;
use crate::demo::origin::receive::{RequestBody, document};
use crate::demo::origin::request::OssRequest;
use crate::demo::origin::respond::Reply;
use crate::demo::origin::target::decode;
use crate::demo::origin::xml::Xml;
use crate::oss::xml;

/// Handles `POST /bucket?delete`.
pub(super) async fn delete(
    request: &OssRequest<'_>,
    name: &str,
    body: RequestBody<'_>,
) -> Result<Reply, OssError> {
    let bytes = document(body, request.headers, request.entry).await?;
    let root = xml::parse(&bytes).ok_or(OssError::MalformedXml)?;
    let is_quiet = root
        .text_of("Quiet")
        .is_some_and(|text| text.trim() == "true");
    // `encoding-type` applies to the response and also to the keys in the request.
    let encoding = request.key_encoding();
    let keys: Vec<Vec<u8>> = root
        .all("Object")
        .filter_map(|object| object.text_of("Key"))
        .map(|key| key.as_bytes().to_vec())
        .collect();
    if keys.is_empty() || keys.len() > 1000 {
        return Err(OssError::MalformedXml);
    }
    request.state.store.with(name, |bucket| {
        let mut xml = Xml::new("DeleteResult");
        if encoding == KeyEncoding::Url {
            xml.leaf("EncodingType", "url");
        }
        for key in keys {
            if bucket.objects.remove(&key).is_none()
                && let Ok(text) = std::str::from_utf8(&key)
            {
                bucket.objects.remove(&decode(text));
            }
            if !is_quiet {
                xml.open("Deleted");
                xml.leaf("Key", &encoding.show(&key));
                xml.close("Deleted");
            }
        }
        Ok(Reply::xml(xml.finish("DeleteResult")))
    })
}
