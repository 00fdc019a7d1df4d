//! DeleteMultipleObjects.

use crate::demo::origin::call::Call;
use crate::demo::origin::list::encode;
use crate::demo::origin::receive::{Incoming, document};
use crate::demo::origin::refusal::Refusal;
use crate::demo::origin::respond::Reply;
use crate::demo::origin::target::decode;
use crate::demo::origin::xml::Xml;
use crate::oss::xml;

/// `POST /bucket?delete`.
pub(super) async fn delete(
    call: &Call<'_>,
    name: &str,
    body: Incoming<'_>,
) -> Result<Reply, Refusal> {
    let bytes = document(body, call.headers, call.entry).await?;
    let root = xml::parse(&bytes).ok_or(Refusal::MalformedXml)?;
    let is_quiet = root
        .text_of("Quiet")
        .is_some_and(|text| text.trim() == "true");
    // The encoding is that of the answer and, with it, of the keys in the request.
    let is_encoded = call.query.get("encoding-type") == Some("url");
    let keys: Vec<Vec<u8>> = root
        .all("Object")
        .filter_map(|object| object.text_of("Key"))
        .map(|key| key.as_bytes().to_vec())
        .collect();
    if keys.is_empty() || keys.len() > 1000 {
        return Err(Refusal::MalformedXml);
    }
    call.shared.store.with(name, |bucket| {
        let mut xml = Xml::new("DeleteResult");
        if is_encoded {
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
                xml.leaf("Key", &encode(&key, is_encoded));
                xml.close("Deleted");
            }
        }
        Ok(Reply::xml(xml.finish("DeleteResult")))
    })
}
