//! Who asks: the bearer key, or the transport. Never anything in the body.
//!
//! While no key exists a loopback peer is the owner of the data folder; from the first key on, everyone needs one.

use std::marker::PhantomData;
use std::net::SocketAddr;
use std::ops::Deref;

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::error::ApiError;
use super::{Http, Identity};
use crate::caller::{Caller, Scope};
use quoin_adapters::rollout::Arm;

/// Reads as these access tokens instead of the caller's own; for `admin` alone.
const READ_AS: &str = "x-quoin-as";

/// Chooses the arm of a running rollout, `stable` or `canary`, outside of its statistics; for `admin` alone.
const ARM: &str = "x-quoin-arm";

/// Keeps a conversation on one release, for clients whose requests have no field for it.
const SESSION: &str = "x-quoin-session";
const SESSION_BYTES_MAX: usize = 256;

/// Where a connection comes from; the listener says so.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// A scope, as a type.
pub(super) trait Needs {
    const SCOPE: Option<Scope>;
}

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident = $scope:expr;)*) => {$(
        $(#[$doc])*
        pub(super) struct $name;
        impl Needs for $name {
            const SCOPE: Option<Scope> = $scope;
        }
    )*};
}

scopes! {
    /// `answer`.
    Answering = Some(Scope::Answer);
    /// `search`.
    Searching = Some(Scope::Search);
    /// `ingest`.
    Ingesting = Some(Scope::Ingest);
    /// `feedback`.
    Rating = Some(Scope::Feedback);
    /// `admin`.
    Administering = Some(Scope::Admin);
    /// Any key.
    Anything = None;
}

/// A caller who holds the scope. Extracted before the body is read, so that nobody else can send one.
pub(super) struct Authorized<S>(Caller, PhantomData<S>);

impl<S> Deref for Authorized<S> {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl<S: Needs + Send> FromRequestParts<Http> for Authorized<S> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, http: &Http) -> Result<Self, ApiError> {
        let caller = authenticate(parts, http)?;
        if let Some(scope) = S::SCOPE
            && !caller.may(scope)
        {
            return Err(ApiError::forbidden(
                "missing_scope",
                format!("this key does not hold the scope `{scope}`"),
            ));
        }
        let caller = choose_arm(parts, read_as(parts, caller)?)?;
        let caller = with_session(parts, caller)?;
        Ok(Self(caller, PhantomData))
    }
}

/// Whether the router is open to its loopback peers, for want of keys.
pub(super) fn is_keyless(http: &Http) -> bool {
    http.identity == Identity::Keys && !http.quoin.storage().keys().any()
}

fn authenticate(parts: &Parts, http: &Http) -> Result<Caller, ApiError> {
    if http.identity == Identity::LocalOwner {
        return Ok(Caller::local());
    }
    if is_keyless(http) {
        let loopback = parts
            .extensions
            .get::<Peer>()
            .is_some_and(|peer| peer.0.ip().to_canonical().is_loopback());
        return if loopback {
            Ok(Caller::local())
        } else {
            Err(ApiError::no_key(
                "no key exists yet, so only this machine is served: `quoin keys create` makes one",
            ))
        };
    }
    let header = parts
        .headers
        .get(AUTHORIZATION)
        .ok_or_else(|| ApiError::no_key("a key is needed: send `Authorization: Bearer KEY`"))?;
    let bearer = header
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, key)| key.trim())
        .ok_or_else(|| ApiError::no_key("the `Authorization` header must be `Bearer KEY`"))?;
    http.quoin
        .storage()
        .keys()
        .authenticate(bearer)
        .ok_or_else(|| ApiError::no_key("this key is unknown or revoked"))
}

fn read_as(parts: &Parts, caller: Caller) -> Result<Caller, ApiError> {
    let Some(header) = parts.headers.get(READ_AS) else {
        return Ok(caller);
    };
    need_admin(&caller, READ_AS)?;
    let tokens: Vec<String> = header
        .to_str()
        .map_err(|_| ApiError::invalid(READ_AS, "`x-quoin-as` must be printable ASCII"))?
        .split(',')
        .map(|token| token.trim().to_owned())
        .collect();
    for token in &tokens {
        quoin_retriever::check_token(READ_AS, token)?;
    }
    Ok(caller.reading_as(&tokens))
}

fn need_admin(caller: &Caller, header: &str) -> Result<(), ApiError> {
    if caller.may(Scope::Admin) {
        return Ok(());
    }
    Err(ApiError::forbidden(
        "missing_scope",
        format!("`{header}` needs the scope `admin`"),
    ))
}

fn choose_arm(parts: &Parts, caller: Caller) -> Result<Caller, ApiError> {
    let Some(header) = parts.headers.get(ARM) else {
        return Ok(caller);
    };
    need_admin(&caller, ARM)?;
    let arm = match header.as_bytes() {
        b"stable" => Arm::Stable,
        b"canary" => Arm::Canary,
        _ => {
            return Err(ApiError::invalid(
                ARM,
                "`x-quoin-arm` must be `stable` or `canary`",
            ));
        }
    };
    Ok(Caller {
        arm: Some(arm),
        ..caller
    })
}

fn with_session(parts: &Parts, caller: Caller) -> Result<Caller, ApiError> {
    let Some(header) = parts.headers.get(SESSION) else {
        return Ok(caller);
    };
    let session = header
        .to_str()
        .ok()
        .filter(|session| (1..=SESSION_BYTES_MAX).contains(&session.len()));
    let session = session.ok_or_else(|| {
        ApiError::invalid(
            SESSION,
            format!("`{SESSION}` must be 1 to {SESSION_BYTES_MAX} bytes of printable ASCII"),
        )
    })?;
    Ok(Caller {
        session: Some(session.to_owned()),
        ..caller
    })
}
