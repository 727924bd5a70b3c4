//! One connection to one member of etcd, and the calls upon it.

use std::error::Error;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::uri::PathAndQuery;
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::wire;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a call may take.
pub(crate) const CALL: Duration = Duration::from_secs(5);
/// How often a silent connection is asked whether it lives, and how long the answer may take.
const PING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));
/// The longest answer that is accepted, in bytes; pages and transactions stay far below.
const LONGEST_ANSWER: usize = 64 << 20;

/// Why etcd could not be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EtcdError {
    /// No connection came about.
    #[error("connect to etcd at {endpoint}: {reason}")]
    Connect {
        /// As configured.
        endpoint: String,
        /// The chain of causes.
        reason: String,
    },
    /// It answered with an error, or the connection broke.
    #[error("{call} at etcd {endpoint}: {message}")]
    Refused {
        /// What was asked.
        call: &'static str,
        /// Whom.
        endpoint: String,
        /// gRPC's code.
        code: Code,
        /// Its own words.
        message: String,
    },
    /// It did not answer in time.
    #[error("{call} at etcd {endpoint}: no answer within {seconds} s")]
    Silent {
        /// What was asked.
        call: &'static str,
        /// Whom.
        endpoint: String,
        /// How long we waited.
        seconds: u64,
    },
}

impl EtcdError {
    /// Whether the credentials do not allow the call: trying again will not help.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Refused { code: Code::PermissionDenied, .. })
    }
}

/// TLS towards etcd, in PEM.
#[derive(Clone, Default)]
pub struct Tls {
    /// Who signs the members' certificates.
    pub ca: Vec<u8>,
    /// Our certificate and its key, if the members ask for one.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// A name and a password, for an etcd that knows us by them and not by our certificate.
#[derive(Clone)]
pub struct Login {
    /// The user.
    pub name: String,
    /// The password.
    pub password: String,
}

/// A connection. Clones share it.
#[derive(Clone)]
pub(crate) struct Connection {
    grpc: Grpc<Channel>,
    endpoint: Arc<str>,
    login: Option<Arc<Login>>,
    /// What says that we have logged in; etcd forgets it now and then.
    token: Arc<RwLock<Option<AsciiMetadataValue>>>,
}

impl Connection {
    /// Connects to `endpoint`, `http://…` or `https://…`, and logs in.
    pub(crate) async fn open(
        endpoint: &str,
        tls: Option<&Tls>,
        login: Option<&Login>,
    ) -> Result<Self, EtcdError> {
        let failed = |error: tonic::transport::Error| EtcdError::Connect {
            endpoint: endpoint.to_owned(),
            reason: chain(&error),
        };
        let mut target = Endpoint::from_shared(endpoint.to_owned())
            .map_err(failed)?
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING.0)
            .keep_alive_timeout(PING.1)
            .keep_alive_while_idle(true);
        if let Some(tls) = tls {
            let mut config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&tls.ca));
            if let Some((certificate, key)) = &tls.identity {
                config = config.identity(Identity::from_pem(certificate, key));
            }
            target = target.tls_config(config).map_err(failed)?;
        }
        let late = || EtcdError::Connect {
            endpoint: endpoint.to_owned(),
            reason: format!("nothing within {} s", CALL.as_secs()),
        };
        // The time for connecting alone does not cover the handshake of TLS.
        let channel = timeout(CALL, target.connect()).await.map_err(|_| late())?.map_err(failed)?;
        let grpc = Grpc::new(channel).max_decoding_message_size(LONGEST_ANSWER);
        let (endpoint, login) = (endpoint.into(), login.cloned().map(Arc::new));
        let connection = Self { grpc, endpoint, login, token: Arc::default() };
        if let Some(login) = &connection.login {
            connection.log_in(login).await?;
        }
        Ok(connection)
    }

    async fn log_in(&self, login: &Login) -> Result<(), EtcdError> {
        let request = wire::AuthenticateRequest {
            name: login.name.clone(),
            password: login.password.clone(),
        };
        let path = "/etcdserverpb.Auth/Authenticate";
        self.set_token(None);
        let answer: wire::AuthenticateResponse = self.call_once("log in", path, request).await?;
        let token = answer.token.parse().map_err(|_| EtcdError::Refused {
            call: "log in",
            endpoint: self.endpoint.to_string(),
            code: Code::Internal,
            message: "its token cannot be sent back".to_owned(),
        })?;
        self.set_token(Some(token));
        Ok(())
    }

    fn set_token(&self, token: Option<AsciiMetadataValue>) {
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// A call with one answer.
    pub(super) async fn call<Q, A>(
        &self,
        call: &'static str,
        path: &'static str,
        request: Q,
    ) -> Result<A, EtcdError>
    where
        Q: Message + Clone + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let Some(login) = &self.login else { return self.call_once(call, path, request).await };
        match self.call_once(call, path, request.clone()).await {
            // Its token ran out, or somebody changed what users may do. It was not executed.
            Err(EtcdError::Refused { code, message, .. })
                if code == Code::Unauthenticated || message.contains("auth store is old") =>
            {
                self.log_in(login).await?;
                self.call_once(call, path, request).await
            }
            answer => answer,
        }
    }

    async fn call_once<Q, A>(
        &self,
        call: &'static str,
        path: &'static str,
        request: Q,
    ) -> Result<A, EtcdError>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let mut grpc = self.grpc.clone();
        let mut request = Request::new(request);
        self.mark(request.metadata_mut());
        let path = PathAndQuery::from_static(path);
        let asked = async {
            grpc.ready().await.map_err(|error| Status::unavailable(chain(&error)))?;
            grpc.unary(request, path, ProstCodec::<Q, A>::default()).await
        };
        match timeout(CALL, asked).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(self.refused(call, &status)),
            Err(_) => Err(self.silent(call, CALL)),
        }
    }

    /// A stream in both directions. `first` is sent at once: etcd answers nothing before.
    pub(super) async fn stream<Q, A>(
        &self,
        call: &'static str,
        path: &'static str,
        first: Vec<Q>,
    ) -> Result<Duplex<Q, A>, EtcdError>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let (sender, receiver) = mpsc::channel(first.len() + 64);
        for message in first {
            sender.try_send(message).unwrap_or_else(|_| unreachable!("the queue has room for all"));
        }
        let mut grpc = self.grpc.clone();
        let mut request = Request::new(ReceiverStream::new(receiver));
        self.mark(request.metadata_mut());
        let path = PathAndQuery::from_static(path);
        let asked = async {
            grpc.ready().await.map_err(|error| Status::unavailable(chain(&error)))?;
            grpc.streaming(request, path, ProstCodec::<Q, A>::default()).await
        };
        let answers = match timeout(CALL, asked).await {
            Ok(Ok(answers)) => answers.into_inner(),
            Ok(Err(status)) => return Err(self.refused(call, &status)),
            Err(_) => return Err(self.silent(call, CALL)),
        };
        Ok(Duplex { call, sender, answers, connection: self.clone() })
    }

    /// A member without a leader must say so instead of going on with what it knew last.
    fn mark(&self, metadata: &mut MetadataMap) {
        metadata.insert("hasleader", AsciiMetadataValue::from_static("true"));
        let token = self.token.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = &*token {
            metadata.insert("authorization", token.clone());
            metadata.insert("token", token.clone());
        }
    }

    pub(super) fn refused(&self, call: &'static str, status: &Status) -> EtcdError {
        let mut message = status.message().trim_start_matches("etcdserver: ").to_owned();
        if let Some(source) = status.source() {
            let causes = chain(source);
            message = match causes.starts_with(&message) {
                true => causes,
                false => format!("{message}: {causes}"),
            };
        }
        EtcdError::Refused {
            call,
            endpoint: self.endpoint.to_string(),
            code: status.code(),
            message,
        }
    }

    pub(super) fn silent(&self, call: &'static str, waited: Duration) -> EtcdError {
        EtcdError::Silent { call, endpoint: self.endpoint.to_string(), seconds: waited.as_secs() }
    }
}

/// A stream in both directions; it ends when dropped.
pub(super) struct Duplex<Q, A> {
    call: &'static str,
    sender: mpsc::Sender<Q>,
    answers: Streaming<A>,
    connection: Connection,
}

impl<Q, A> Duplex<Q, A> {
    /// Queues a message, without waiting for it to be sent.
    pub(super) fn send(&self, message: Q) -> Result<(), EtcdError> {
        let broken =
            || self.connection.refused(self.call, &Status::unavailable("nothing is taken"));
        self.sender.try_send(message).map_err(|_| broken())
    }

    /// The next message. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Result<A, EtcdError> {
        let answers = &mut self.answers;
        let next =
            std::future::poll_fn(|context| std::pin::Pin::new(&mut *answers).poll_next(context));
        match next.await {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(status)) => Err(self.connection.refused(self.call, &status)),
            None => Err(self.connection.refused(self.call, &Status::unavailable("it ended"))),
        }
    }

    pub(super) fn silent(&self, waited: Duration) -> EtcdError {
        self.connection.silent(self.call, waited)
    }
}

/// An error and its causes in one line; the outermost often says nothing but "transport error".
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
