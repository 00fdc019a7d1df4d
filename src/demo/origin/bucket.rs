//! Handlers for buckets: list, create, read information and delete.

use http::{Method, StatusCode};

use crate::demo::origin::error::OssError;
use crate::demo::origin::options::{Acl, BucketOptions};
use crate::demo::origin::receive::{DOCUMENT_LIMIT, RequestBody, read};
use crate::demo::origin::request::OssRequest;
use crate::demo::origin::respond::Reply;
use crate::demo::origin::store::Bucket;
use crate::demo::origin::time::iso;
use crate::demo::origin::xml::{Xml, acl_document, write_owner};

/// Handles ListBuckets: `GET /` with a host name of the service.
pub(super) fn list_all(request: &OssRequest<'_>, owner: &str) -> Result<Reply, OssError> {
    let mut xml = Xml::new("ListAllMyBucketsResult");
    write_owner(&mut xml, owner);
    xml.open("Buckets");
    for bucket in request.state.store.lock().values() {
        xml.open("Bucket");
        write_properties(&mut xml, request, bucket);
        xml.close("Bucket");
    }
    xml.close("Buckets");
    Ok(Reply::xml(xml.finish("ListAllMyBucketsResult")))
}

fn write_properties(xml: &mut Xml, request: &OssRequest<'_>, bucket: &Bucket) {
    let options = &request.state.options;
    let endpoint = options.endpoints.first().map_or("", String::as_str);
    xml.leaf("CreationDate", &iso(bucket.created));
    xml.leaf("ExtranetEndpoint", endpoint);
    xml.leaf("IntranetEndpoint", endpoint);
    xml.leaf("Location", &format!("oss-{}", options.region));
    xml.leaf("Name", &bucket.options.name);
    xml.leaf("Region", &options.region);
    xml.leaf("StorageClass", "Standard");
}

/// Handles `PUT /bucket`, with or without `?acl`.
pub(super) async fn put(
    request: &OssRequest<'_>,
    name: &str,
    body: RequestBody<'_>,
) -> Result<Reply, OssError> {
    read(body, DOCUMENT_LIMIT, request.entry).await?;
    let acl = request
        .header("x-oss-acl")
        .and_then(|text| Acl::parse(&text));
    let mut buckets = request.state.store.lock();
    if let Some(bucket) = buckets.get_mut(name) {
        bucket.options.acl = acl.unwrap_or(bucket.options.acl);
    } else {
        let mut options = BucketOptions::new(name);
        options.acl = acl.unwrap_or(options.acl);
        buckets.insert(name.to_owned(), Bucket::new(options, request.now));
    }
    Ok(Reply::new(StatusCode::OK))
}

/// Handles `GET /bucket?bucketInfo`, `?location` and `?acl`, and `HEAD /bucket`. Returns `None` for a request
/// that lists objects.
pub(super) fn get(
    request: &OssRequest<'_>,
    name: &str,
    owner: &str,
) -> Result<Option<Reply>, OssError> {
    request.state.store.with(name, |bucket| {
        if request.query.has("bucketInfo") {
            let mut xml = Xml::new("BucketInfo");
            xml.open("Bucket");
            write_properties(&mut xml, request, bucket);
            write_owner(&mut xml, owner);
            xml.open("AccessControlList");
            xml.leaf("Grant", bucket.options.acl.as_str());
            xml.close("AccessControlList");
            xml.close("Bucket");
            Ok(Some(Reply::xml(xml.finish("BucketInfo"))))
        } else if request.query.has("location") {
            let mut xml = Xml::new("LocationConstraint");
            xml.text(&format!("oss-{}", request.state.options.region));
            Ok(Some(Reply::xml(xml.finish("LocationConstraint"))))
        } else if request.query.has("acl") {
            Ok(Some(Reply::xml(acl_document(
                owner,
                bucket.options.acl.as_str(),
            ))))
        } else if *request.method == Method::HEAD {
            Ok(Some(Reply::new(StatusCode::OK)))
        } else {
            Ok(None)
        }
    })
}

/// Handles `DELETE /bucket`.
pub(super) fn delete(request: &OssRequest<'_>, name: &str) -> Result<Reply, OssError> {
    let mut buckets = request.state.store.lock();
    match buckets.get(name) {
        None => Err(OssError::NoSuchBucket(name.to_owned())),
        Some(bucket) if !bucket.objects.is_empty() => {
            Err(OssError::BucketNotEmpty(name.to_owned()))
        }
        Some(_) => {
            buckets.remove(name);
            Ok(Reply::new(StatusCode::NO_CONTENT))
        }
    }
}
