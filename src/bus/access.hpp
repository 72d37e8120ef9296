#pragma once

#include <string>
#include <vector>

namespace vitalwire::bus {

/// PEM files of tls:// URLs; read again when they change, so that renewed certificates need no restart.
struct TlsFiles {
    std::string ca;           ///< who may sign the other side's certificate
    std::string certificate;  ///< our own, with the chain up to the CA
    std::string key;
    std::string crl = {};  ///< certificates that are revoked, of the CA that signed them; empty: none is
};

/// Of amqp:// and amqps:// URLs.
struct BrokerAccess {
    std::string name;      ///< of the host or the controller; also the broker user where a URL names none
    std::string password;  ///< empty: the certificate says who we are (SASL EXTERNAL)
};

/// What connections are made with. All of it may change while the process runs.
struct Access {
    TlsFiles tls;
    std::vector<std::string> brokers;  ///< URLs of one cluster
    BrokerAccess broker;
    /// tcp:// and amqp:// beyond loopback, which carry who is down unprotected; tcp:// lets anybody speak for any host.
    bool allow_plain_tcp = false;
};

}  // namespace vitalwire::bus
