//! A WebSocket client that costs next to nothing: it masks with zeros and looks only for what it counts. The load must not
//! be what is measured.

use std::net::SocketAddr;

use anyhow::{Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Where the next frame begins.
    start: usize,
}

impl Socket {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut socket = Self { stream, buffer: Vec::new(), start: 0 };
        loop {
            if let Some(end) = socket.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                if !socket.buffer.starts_with(b"HTTP/1.1 101") {
                    bail!("refused: {}", String::from_utf8_lossy(&socket.buffer));
                }
                socket.start = end + 4;
                return Ok(socket);
            }
            socket.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<()> {
        if self.start == self.buffer.len() {
            self.buffer.clear();
        } else {
            self.buffer.drain(..self.start);
        }
        self.start = 0;
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the server has closed the connection");
        }
        Ok(())
    }

    pub(crate) async fn send(&mut self, text: &str) -> Result<()> {
        let mut frame = vec![0x81];
        match text.len() {
            length @ 0..126 => frame.push(0x80 | length as u8),
            length @ 126..65_536 => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        // masked with zeros it reads as it is
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        Ok(self.stream.write_all(&frame).await?)
    }

    /// The next message; pings are answered.
    pub(crate) async fn next(&mut self) -> Result<&[u8]> {
        loop {
            if let Some((opcode, start, end)) = self.frame() {
                self.start = end;
                match opcode {
                    0x9 => self.stream.write_all(&[0x8a, 0x80, 0, 0, 0, 0]).await?,
                    0x8 => bail!("the server says goodbye"),
                    _ => return Ok(&self.buffer[start..end]),
                }
            } else {
                self.fill().await?;
            }
        }
    }

    /// The frame at the start, if all of it is there: its opcode, where its payload begins and where it ends.
    fn frame(&self) -> Option<(u8, usize, usize)> {
        let bytes = &self.buffer[self.start..];
        let (length, header) = match bytes.get(1)? & 0x7f {
            126 => (u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?) as usize, 4),
            127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize, 10),
            length => (length as usize, 2),
        };
        let end = header + length;
        (bytes.len() >= end).then_some((bytes[0] & 0x0f, self.start + header, self.start + end))
    }
}
