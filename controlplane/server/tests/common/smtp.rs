//! A mail server on loopback: it keeps what comes, and answers by a script.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// It ends with the test's runtime.
pub(crate) struct MailServer {
    pub(crate) address: SocketAddr,
    conversations: Arc<Mutex<Vec<String>>>,
    answers_to_mail: Arc<Mutex<VecDeque<&'static str>>>,
}

impl MailServer {
    /// In clear text.
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Within TLS from the start, where there is a configuration for it.
    pub(crate) async fn start_with(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            conversations: Arc::default(),
            answers_to_mail: Arc::default(),
        };
        let (kept, script) = (server.conversations.clone(), server.answers_to_mail.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, script, tls) = (kept.clone(), script.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls.map(TlsAcceptor::from) {
                        None => serve(stream, kept, script).await,
                        // Who does not trust the certificate says nothing.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, kept, script).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    /// What it answers to the next sender.
    pub(crate) fn answers(&self, answer: &'static str) {
        self.answers_to_mail.lock().unwrap().push_back(answer);
    }

    /// Everything that clients said, a conversation each.
    pub(crate) fn conversations(&self) -> Vec<String> {
        self.conversations.lock().unwrap().clone()
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite,
    kept: Arc<Mutex<Vec<String>>>,
    script: Arc<Mutex<VecDeque<&'static str>>>,
) {
    let index = {
        let mut kept = kept.lock().unwrap();
        kept.push(String::new());
        kept.len() - 1
    };
    let (reader, mut writer) = tokio::io::split(stream);
    let mut lines = BufReader::new(reader);
    let mut in_data = false;
    let _ = writer.write_all(b"220 mail.test ESMTP\r\n").await;
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        kept.lock().unwrap()[index].push_str(&line);
        let answer = match line.trim_end() {
            "." if in_data => {
                in_data = false;
                "250 kept"
            }
            _ if in_data => continue,
            "DATA" => {
                in_data = true;
                "354 go on"
            }
            "QUIT" => "221 bye",
            line if line.starts_with("MAIL FROM") => {
                script.lock().unwrap().pop_front().unwrap_or("250 ok")
            }
            line if line.starts_with("EHLO") => "250-mail.test\r\n250-AUTH PLAIN\r\n250 8BITMIME",
            line if line.starts_with("AUTH") => "235 welcome",
            _ => "250 ok",
        };
        if writer.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
            return;
        }
    }
}
