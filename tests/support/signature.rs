//! A second implementation of OSS's signatures, to check the crate's implementation against.
//!
//! It follows the documentation and shares neither code nor tables with `oss::signature`; it also has its own
//! encoding and decoding. It is short rather than fast, has no ECs, accepts any region, and returns an error
//! as status and code.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::{digest, hmac};
use base64::Engine;
use http::{HeaderMap, Method};

use super::signature_text::{decode_query, encode, read_basic_date, read_http_date};

/// The query parameters that a V1 signature covers, as listed in the documentation.
const SUBRESOURCES: &str = "\
    acl append accessPoint accessPointPolicy asyncFetch bucketArchiveDirectRead bucketInfo \
    callback callback-var cloudboxes cname comp continuation-token cors delete encryption \
    endTime group httpsConfig img inventory inventoryId lifecycle link live location logging \
    metaQuery objectInfo objectMeta partNumber policy position publicAccessBlock qos qosInfo \
    qosRequester redundancyTransition referer regionList replication replicationLocation \
    replicationProgress requestPayment requesterQosInfo resourceGroup resourcePool \
    resourcePoolBuckets resourcePoolInfo response-cache-control response-content-disposition \
    response-content-encoding response-content-language response-content-type \
    response-expires restore security-token sequential startTime stat status style styleName \
    symlink tagging transferAcceleration uploadId uploads versionId versioning versions vod \
    website worm wormExtend wormId x-oss-ac-forward-allow x-oss-ac-source-ip \
    x-oss-ac-subnet-mask x-oss-ac-vpc-id x-oss-access-point-name x-oss-async-process \
    x-oss-process x-oss-redundancy-transition-taskid x-oss-request-payer \
    x-oss-target-redundancy-type x-oss-traffic-limit x-oss-write-get-object-response";

/// A function that returns the secret and the token of an access key id.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<(String, Option<String>)>;

type Refusal = (u16, &'static str);
type Bytes = Vec<u8>;

const INVALID: Refusal = (400, "InvalidArgument");
const DENIED: Refusal = (403, "AccessDenied");
const MISMATCH: Refusal = (403, "SignatureDoesNotMatch");
const SKEWED: Refusal = (403, "RequestTimeTooSkewed");

struct Request<'a> {
    method: &'a str,
    query: Vec<(Bytes, Bytes)>,
    headers: &'a HeaderMap,
    bucket: Option<&'a str>,
    key: &'a [u8],
    keys: Lookup<'a>,
    now: i64,
}

/// Verifies the signature of a request. Returns the access key id, or `None` for an unsigned request.
pub(crate) fn verify(
    method: &Method,
    raw_query: Option<&str>,
    headers: &HeaderMap,
    bucket: Option<&str>,
    key: &[u8],
    keys: Lookup<'_>,
    now: u64,
) -> Result<Option<String>, Refusal> {
    let request = Request {
        method: method.as_str(),
        query: decode_query(raw_query.unwrap_or("")),
        headers,
        bucket,
        key,
        keys,
        now: i64::try_from(now).unwrap(),
    };
    let has = |name: &str| request.value(name).is_some();
    let by_query = has("Signature") || has("x-oss-signature");
    if let Some(authorization) = request.header("authorization") {
        if by_query {
            return Err(INVALID);
        }
        let text = String::from_utf8(authorization).map_err(|_| INVALID)?;
        let (scheme, rest) = text.split_once(' ').ok_or(INVALID)?;
        return match scheme {
            "OSS" => request.v1_header(rest).map(Some),
            "OSS4-HMAC-SHA256" => request.v4_header(rest).map(Some),
            _ => Err(INVALID),
        };
    }
    if has("x-oss-signature") || has("x-oss-signature-version") {
        request.v4_query().map(Some)
    } else if by_query || has("OSSAccessKeyId") {
        request.v1_query().map(Some)
    } else {
        Ok(None)
    }
}

impl Request<'_> {
    fn value(&self, name: &str) -> Option<&Bytes> {
        let pair = self.query.iter().find(|pair| pair.0 == name.as_bytes());
        pair.map(|(_, value)| value)
    }

    fn needed(&self, name: &str) -> Result<String, Refusal> {
        let value = self.value(name).ok_or(DENIED)?;
        String::from_utf8(value.clone()).map_err(|_| INVALID)
    }

    /// Returns a header value without leading and trailing blanks, or `None` if it is empty.
    fn header(&self, name: &str) -> Option<Bytes> {
        let value = self.headers.get(name)?.as_bytes().trim_ascii();
        (!value.is_empty()).then(|| value.to_vec())
    }

    fn secret(&self, id: &str, token: Option<&Bytes>) -> Result<String, Refusal> {
        let (secret, expected) = (self.keys)(id).ok_or((403, "InvalidAccessKeyId"))?;
        let is_right = token == expected.map(String::into_bytes).as_ref();
        is_right
            .then_some(secret)
            .ok_or((403, "InvalidSecurityToken"))
    }

    fn in_time(&self, time: Option<i64>) -> Result<(), Refusal> {
        match time {
            None => Err(DENIED),
            Some(time) if (time - self.now).abs() > 900 => Err(SKEWED),
            Some(_) => Ok(()),
        }
    }

    fn v1_header(&self, rest: &str) -> Result<String, Refusal> {
        let (id, given) = rest.trim().split_once(':').ok_or(INVALID)?;
        let date = self.header("x-oss-date").or_else(|| self.header("date"));
        let date = date.ok_or(DENIED)?;
        self.in_time(read_http_date(&String::from_utf8_lossy(&date)))?;
        let token = self.header("x-oss-security-token");
        let token = token.or_else(|| self.header("security-token"));
        let secret = self.secret(id, token.as_ref())?;
        self.v1(&secret, &date, given)?;
        Ok(id.to_owned())
    }

    fn v1_query(&self) -> Result<String, Refusal> {
        let id = self.needed("OSSAccessKeyId")?;
        let expires = self.needed("Expires")?;
        let given = self.needed("Signature")?;
        let until: i64 = expires.parse().map_err(|_| INVALID)?;
        if until < self.now {
            return Err(DENIED);
        }
        let token = self.value("security-token").cloned();
        let token = token.or_else(|| self.header("x-oss-security-token"));
        let secret = self.secret(&id, token.as_ref())?;
        self.v1(&secret, expires.as_bytes(), &given)?;
        Ok(id)
    }

    fn v1(&self, secret: &str, date: &[u8], given: &str) -> Result<(), Refusal> {
        let mut lines: Vec<Bytes> = vec![
            self.method.into(),
            self.header("content-md5").unwrap_or_default(),
            self.header("content-type").unwrap_or_default(),
            date.into(),
        ];
        lines.extend(self.header_lines(&BTreeSet::new(), false));
        let mut resource: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
        for (name, value) in &self.query {
            let mut known = SUBRESOURCES.split(' ').map(str::as_bytes);
            if known.any(|known| known == name) {
                resource.entry(name).or_insert(value);
            }
        }
        let pairs: Vec<Bytes> = resource.into_iter().map(pair).collect();
        let mut path = self.path();
        if !pairs.is_empty() {
            path.push(b'?');
            path.extend(pairs.join(&b'&'));
        }
        lines.push(path);
        let given = base64::engine::general_purpose::STANDARD.decode(given);
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
        hmac::verify(&key, &lines.join(&b'\n'), &given.unwrap_or_default()).map_err(|_| MISMATCH)
    }

    fn v4_header(&self, rest: &str) -> Result<String, Refusal> {
        let mut fields = BTreeMap::new();
        for field in rest.split(',') {
            let (name, value) = field.trim().split_once('=').ok_or(INVALID)?;
            if !["Credential", "AdditionalHeaders", "Signature"].contains(&name) {
                return Err(INVALID);
            }
            fields.insert(name, value);
        }
        self.header("x-oss-content-sha256").ok_or(DENIED)?;
        let date = self.header("x-oss-date").or_else(|| self.header("date"));
        let time = String::from_utf8(date.ok_or(DENIED)?).map_err(|_| DENIED)?;
        self.in_time(read_basic_date(&time))?;
        let credential = fields.get("Credential").ok_or(INVALID)?;
        let given = fields.get("Signature").ok_or(INVALID)?;
        let additional = fields.get("AdditionalHeaders").copied();
        let token = self.header("x-oss-security-token");
        self.v4(credential, additional, &time, given, token.as_ref())
    }

    fn v4_query(&self) -> Result<String, Refusal> {
        if self.needed("x-oss-signature-version")? != "OSS4-HMAC-SHA256" {
            return Err(INVALID);
        }
        let credential = self.needed("x-oss-credential")?;
        let given = self.needed("x-oss-signature")?;
        let time = self.needed("x-oss-date")?;
        let life: i64 = self.needed("x-oss-expires")?.parse().map_err(|_| INVALID)?;
        let start = read_basic_date(&time).ok_or(INVALID)?;
        if !(1..=604_800).contains(&life) {
            return Err(INVALID);
        }
        if start + life < self.now {
            return Err(DENIED);
        }
        // This call only rejects a start in the future. The expiry is checked above.
        self.in_time(Some(start.max(self.now)))?;
        let names = self.value("x-oss-additional-headers").cloned();
        let names = names
            .map(String::from_utf8)
            .transpose()
            .map_err(|_| INVALID)?;
        let token = self.value("x-oss-security-token").cloned();
        let token = token.or_else(|| self.header("x-oss-security-token"));
        let token = token.as_ref();
        self.v4(&credential, names.as_deref(), &time, &given, token)
    }

    fn v4(
        &self,
        credential: &str,
        additional: Option<&str>,
        time: &str,
        given: &str,
        token: Option<&Bytes>,
    ) -> Result<String, Refusal> {
        let hash = self.header("x-oss-content-sha256");
        if hash.is_some_and(|hash| hash != b"UNSIGNED-PAYLOAD") {
            return Err(INVALID);
        }
        let parts: Vec<&str> = credential.split('/').collect();
        let [id, date, region, product, "aliyun_v4_request"] = parts[..] else {
            return Err(INVALID);
        };
        if time.split('T').next() != Some(date) || !["oss", "oss-cloudbox"].contains(&product) {
            return Err(DENIED);
        }
        let mut names = BTreeSet::new();
        for name in additional.iter().flat_map(|names| names.split(';')) {
            if name.contains('_') || self.headers.get(name).is_none() {
                return Err(INVALID);
            }
            if !is_signed_always(name) {
                names.insert(name);
            }
        }
        let secret = self.secret(id, token)?;
        let mut query: Vec<(Bytes, Bytes)> = Vec::new();
        for (name, value) in &self.query {
            if name != b"x-oss-signature" {
                query.push((encode(name, b""), encode(value, b"")));
            }
        }
        query.sort();
        let query: Vec<Bytes> = query
            .iter()
            .map(|(name, value)| pair((name, value)))
            .collect();
        let mut lines: Vec<Bytes> = vec![
            self.method.into(),
            encode(&self.path(), b"/"),
            query.join(&b'&'),
        ];
        lines.extend(self.header_lines(&names, true));
        lines.push(Bytes::new());
        let names: Vec<&str> = names.into_iter().collect();
        lines.push(names.join(";").into());
        lines.push(b"UNSIGNED-PAYLOAD".to_vec());
        let digest = digest::digest(&digest::SHA256, &lines.join(&b'\n'));
        let digest: String = digest.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        let scope = format!("{date}/{region}/{product}/aliyun_v4_request");
        let text = format!("OSS4-HMAC-SHA256\n{time}\n{scope}\n{digest}");
        let mut key = format!("aliyun_v4{secret}").into_bytes();
        for step in scope.split('/').chain([text.as_str()]) {
            let hmac_key = hmac::Key::new(hmac::HMAC_SHA256, &key);
            key = hmac::sign(&hmac_key, step.as_bytes()).as_ref().to_vec();
        }
        let expected: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let is_right = expected == given;
        is_right.then(|| id.to_owned()).ok_or(MISMATCH)
    }

    /// Returns `/`, `/bucket/` or `/bucket/key`, not encoded.
    fn path(&self) -> Bytes {
        match self.bucket {
            None => b"/".to_vec(),
            Some(bucket) => [b"/", bucket.as_bytes(), b"/", self.key].concat(),
        }
    }

    /// Returns the signed header fields as sorted `name:value` lines. V1 signs only the `x-oss-` fields.
    fn header_lines(&self, additional: &BTreeSet<&str>, is_v4: bool) -> Vec<Bytes> {
        let mut lines = Vec::new();
        for (name, value) in self.headers {
            let name = name.as_str();
            let in_v4 = is_v4 && (is_signed_always(name) || additional.contains(name));
            if name.starts_with("x-oss-") || in_v4 {
                lines.push((name, value.as_bytes().trim_ascii()));
            }
        }
        lines.sort();
        let line = |(name, value): (&str, &[u8])| [name.as_bytes(), b":", value].concat();
        lines.into_iter().map(line).collect()
    }
}

fn is_signed_always(name: &str) -> bool {
    name == "content-type" || name == "content-md5" || name.starts_with("x-oss-")
}

fn pair((name, value): (&[u8], &[u8])) -> Bytes {
    if value.is_empty() {
        name.to_vec()
    } else {
        [name, b"=", value].concat()
    }
}
