//! The smallest whole application in Rust, with its standard library alone: registers as NAME, and is healthy while
//! FILE exists. proto-spec/application-socket.md is the contract.
//!
//!     rustc heartbeat.rs && ./heartbeat NAME FILE
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;
use std::{env, path::Path, process::exit, thread::sleep};

// std knows stream and datagram sockets of UNIX, but not SOCK_SEQPACKET.
#[repr(C)]
struct Address {
    family: u16,
    path: [u8; 108],
}
extern "C" {
    fn socket(domain: i32, kind: i32, protocol: i32) -> i32;
    fn connect(fd: i32, address: *const Address, size: u32) -> i32;
    fn send(fd: i32, data: *const u8, size: usize, flags: i32) -> isize;
    fn recv(fd: i32, data: *mut u8, size: usize, flags: i32) -> isize;
}
const AF_UNIX: i32 = 1;
const SOCK_SEQPACKET_CLOEXEC: i32 = 5 | 0o2000000;
const MSG_NOSIGNAL: i32 = 0x4000;

struct Connection(OwnedFd);

impl Connection {
    fn open(path: &str) -> Result<Connection> {
        let mut address = Address { family: AF_UNIX as u16, path: [0; 108] };
        if path.len() >= address.path.len() {
            return Err(Error::other("the path of the socket is too long"));
        }
        address.path[..path.len()].copy_from_slice(path.as_bytes());
        let fd = unsafe { socket(AF_UNIX, SOCK_SEQPACKET_CLOEXEC, 0) };
        if fd < 0 {
            return Err(Error::last_os_error());
        }
        let owned = unsafe { OwnedFd::from_raw_fd(fd) };
        let size = std::mem::size_of::<Address>() as u32;
        match unsafe { connect(fd, &address, size) } {
            0 => Ok(Connection(owned)),
            _ => Err(Error::last_os_error()),
        }
    }

    fn send(&self, message: &str) -> Result<()> {
        uninterrupted(|| unsafe { send(self.0.as_raw_fd(), message.as_ptr(), message.len(), MSG_NOSIGNAL) })?;
        Ok(())
    }

    /// The next datagram; none at the end of the connection.
    fn receive(&self) -> Result<Option<String>> {
        let mut buffer = [0u8; 8192];
        match uninterrupted(|| unsafe { recv(self.0.as_raw_fd(), buffer.as_mut_ptr(), buffer.len(), 0) })? {
            0 => Ok(None),
            size => Ok(Some(String::from_utf8_lossy(&buffer[..size]).into_owned())),
        }
    }
}

/// A call of the kernel, once more when a signal came in between: that is no reason to leave vitalwired.
fn uninterrupted(mut call: impl FnMut() -> isize) -> Result<usize> {
    loop {
        let result = call();
        if result >= 0 {
            return Ok(result as usize);
        }
        let problem = Error::last_os_error();
        if problem.kind() != ErrorKind::Interrupted {
            return Err(problem);
        }
    }
}

/// The number of `"key":123` in a flat object, as vitalwired writes it.
fn number(message: &str, key: &str) -> Option<u64> {
    let start = message.find(&format!("\"{key}\":"))? + key.len() + 3;
    let digits: String = message[start..].chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// A string of JSON, as long as a reason may be. {:?} is none: Rust has escapes of its own.
fn json(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars().take(224) {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\0'..='\x1f' => out += &format!("\\u{:04x}", c as u32),
            _ => out.push(c),
        }
    }
    out + "\""
}

fn health(file: &Path) -> String {
    if file.exists() {
        return "\"healthy\":true".into();
    }
    format!("\"healthy\":false,\"reason\":{}", json(&format!("{} is missing", file.display())))
}

/// Serves one connection until it ends, or vitalwired refuses.
fn serve(path: &str, name: &str, file: &Path) -> Result<()> {
    let connection = Connection::open(path)?;
    connection.send(&format!(
        "{{\"version\":1,\"type\":\"register\",\"id\":1,\"name\":{},\"interval_ms\":500,\"timeout_ms\":500,{}}}",
        json(name),
        health(file)
    ))?;
    while let Some(message) = connection.receive()? {
        if message.contains("\"type\":\"registered\"") {
            eprintln!("registered");
        } else if message.contains("\"type\":\"refused\"") {
            return Err(Error::other(message));
        } else if let Some(query) = number(&message, "query") {
            connection.send(&format!("{{\"version\":1,\"type\":\"report\",\"id\":1,\"query\":{query},{}}}", health(file)))?;
        }
    }
    Err(Error::other("vitalwired ended the connection"))
}

fn main() {
    // A name of a file may have bytes that are no UTF-8; the message cannot.
    let arguments: Vec<_> = env::args_os().collect();
    if arguments.len() != 3 {
        eprintln!("usage: heartbeat NAME FILE");
        exit(2);
    }
    let path = env::var("VITALWIRE_SOCKET").unwrap_or("/run/vitalwire/guest.sock".into());
    loop {
        if let Err(problem) = serve(&path, &arguments[1].to_string_lossy(), Path::new(&arguments[2])) {
            eprintln!("not watched: {problem}");
        }
        sleep(Duration::from_secs(1));
    }
}
