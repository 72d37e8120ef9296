#include <unistd.h>

#include <array>
#include <boost/asio/ssl.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "bus/certificate_check.hpp"
#include "bus/certificate_watch.hpp"
#include "bus/tls_context.hpp"
#include "tests/unit/bus/stream_fixture.hpp"
#include "tests/unit/support/certificates.hpp"

namespace vitalwire::bus {
namespace {

namespace asio = boost::asio;
using test::Authority;
using test::Certificate;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class Tls : public Stream {
protected:
    static TlsFiles files(const Authority& authority, const Certificate& certificate) {
        return {authority.file(), certificate.certificate, certificate.key};
    }
    std::unique_ptr<ControllerPort> listen_tls() { return listen("tls://127.0.0.1:0", server_files_); }

    /// What an agent with these files is told when it connects.
    std::string refusal(const TlsFiles& tls, const std::string& host = "127.0.0.1") {
        const auto port = listen_tls();
        const auto link = connect("tls://" + host + port->address().substr(port->address().rfind(':')), agent_, tls);
        EXPECT_TRUE(wait_for([&] { return !agent_.downs.empty(); }));
        EXPECT_THAT(controller_.events, IsEmpty());
        return agent_.downs.empty() ? "" : agent_.downs[0];
    }

    Authority authority_{directory_};
    TlsFiles server_files_ = files(authority_, authority_.issue("controller-1", "DNS:localhost,IP:127.0.0.1"));
};

TEST_F(Tls, CarriesMessagesBetweenCertifiedPeers) {
    const auto port = listen_tls();
    const auto link =
        connect(port->address(), agent_, files(authority_, authority_.issue("compute-1", "DNS:compute-1")));
    ASSERT_TRUE(wait_for([&] { return agent_.last<Welcome>() != nullptr; }));
    EXPECT_THAT(controller_.events, ElementsAre("up compute-1 from 127.0.0.1"));
    link->send(GuestGone{base::GuestId("g-1")});
    EXPECT_TRUE(wait_for([&] { return controller_.messages.size() == 1; }));
}

TEST_F(Tls, AKeyWithAPassphraseIsRefusedAndNobodyIsAsked) {
    TlsFiles tls = server_files_;
    tls.key = directory_ / "encrypted.key";
    const std::string command =
        "openssl pkey -aes128 -passout pass:secret -in " + server_files_.key + " -out " + tls.key;
    ASSERT_EQ(std::system(command.c_str()), 0);
    // What would be read as the passphrase, if it were asked for.
    std::array<int, 2> input{};
    ASSERT_EQ(pipe(input.data()), 0);
    const int before = dup(STDIN_FILENO);
    dup2(input[0], STDIN_FILENO);
    ASSERT_EQ(write(input[1], "secret\n", 7), 7);
    for (const auto role : {TlsContext::Role::server, TlsContext::Role::client, TlsContext::Role::http_server}) {
        const auto loaded = TlsContext::load(role, tls);
        ASSERT_FALSE(loaded);
        EXPECT_EQ(loaded.error().message, tls.key + ": needs a passphrase; expected one without");
    }
    dup2(before, STDIN_FILENO);
    for (const int fd : {before, input[0], input[1]})
        close(fd);
}

TEST_F(Tls, KnowsBeforehandWhyTheOtherSideWouldRejectACertificate) {
    const auto mistake = [&](const Certificate& certificate, CertificateUse use, const std::string& host) {
        return certificate_mistake(certificate.certificate, use, host);
    };
    const Certificate good = authority_.issue("compute-1", "DNS:Compute-1");
    EXPECT_EQ(mistake(good, CertificateUse::client, "compute-1"), "");
    EXPECT_EQ(mistake(good, CertificateUse::server, ""), "");
    EXPECT_EQ(mistake(good, CertificateUse::client, "compute-2"),
              good.certificate + " is not for the host 'compute-2' (compute-1)");
    const Certificate servers = authority_.issue("compute-1", "DNS:compute-1", 2, "extendedKeyUsage=serverAuth");
    EXPECT_EQ(mistake(servers, CertificateUse::server, ""), "");
    EXPECT_EQ(mistake(servers, CertificateUse::client, "compute-1"),
              servers.certificate + " is not for clients (extendedKeyUsage)");
}

TEST_F(Tls, FindsTheHostAmongTheNamesOfTheCertificate) {
    const auto port = listen_tls();
    const auto certificate = authority_.issue("node", "DNS:other.example,DNS:Compute-1");
    const auto link = connect(port->address(), agent_, files(authority_, certificate));
    EXPECT_TRUE(wait_for([&] { return agent_.last<Welcome>() != nullptr; }));
}

TEST_F(Tls, RefusesAnAgentThatSpeaksForAnotherHost) {
    EXPECT_EQ(refusal(files(authority_, authority_.issue("compute-2", "DNS:compute-2"))),
              "rejected by the controller: its certificate (compute-2) is not for the host 'compute-1'");
}

TEST_F(Tls, RefusesAnAgentOfAnotherAuthority) {
    const Authority stranger(directory_, "stranger");
    const Certificate certificate = stranger.issue("compute-1");
    EXPECT_THAT(refusal({authority_.file(), certificate.certificate, certificate.key}), HasSubstr("unknown CA"));
}

TEST_F(Tls, RefusesAControllerOfAnotherAuthority) {
    const Authority stranger(directory_, "stranger");
    const Certificate certificate = stranger.issue("compute-1");
    EXPECT_THAT(refusal({stranger.file(), certificate.certificate, certificate.key}),
                StartsWith("the peer's certificate is rejected: "));
}

TEST_F(Tls, RefusesAControllerWithTheCertificateOfAnotherHost) {
    server_files_ = files(authority_, authority_.issue("elsewhere", "DNS:elsewhere"));
    const TlsFiles agent_files = files(authority_, authority_.issue("compute-1", "DNS:compute-1"));
    EXPECT_EQ(refusal(agent_files), "the peer's certificate is rejected: IP address mismatch");
    agent_.downs.clear();
    EXPECT_EQ(refusal(agent_files, "localhost"), "the peer's certificate is rejected: hostname mismatch");
}

TEST_F(Tls, RefusesAnExpiredCertificate) {
    EXPECT_EQ(refusal(files(authority_, authority_.issue("compute-1", "DNS:compute-1", -1))),
              "the peer rejects our certificate: certificate expired");
}

TEST_F(Tls, NamesTheClockWhenTheTimeOfACertificateIsWrong) {
    server_files_ = files(authority_, authority_.issue("controller-1", "IP:127.0.0.1", -1));
    EXPECT_THAT(refusal(files(authority_, authority_.issue("compute-1", "DNS:compute-1"))),
                testing::MatchesRegex("the peer's certificate is rejected: certificate has expired; if that is wrong, "
                                      "look at this host's clock: it is [-0-9]+ [:0-9]+ UTC"));
}

TEST_F(Tls, TakesNoNameButTheDnsNamesOfTheSubjectAlternativeName) {
    // A common name; a common name beside another DNS name; a name that a C string would cut; part of a longer one.
    for (const char* names : {"", "DNS:web.example", "DER:30:0e:82:0c:63:6f:6d:70:75:74:65:2d:31:00:2e:78",
                              "DNS:compute-1.example", "email:compute-1"}) {
        const auto certificate = authority_.issue("compute-1", names);
        EXPECT_THAT(refusal(files(authority_, certificate)), HasSubstr("is not for the host 'compute-1'")) << names;
        agent_.downs.clear();
    }
}

TEST_F(Tls, ComparesNamesInOneForm) {
    TestAgent agent("Compute-1.Example.NET.");
    const auto port = listen_tls();
    const auto certificate = authority_.issue("node", "DNS:compute-1.example.net");
    const auto link = connect(port->address(), agent, files(authority_, certificate));
    EXPECT_TRUE(wait_for([&] { return agent.last<Welcome>() != nullptr; }));
}

TEST_F(Tls, RejectsACertificateThatIsRevoked) {
    const auto revoked = authority_.issue("compute-1", "DNS:compute-1");
    const auto good = authority_.issue("compute-1", "DNS:compute-1");
    server_files_.crl = authority_.revoke(revoked);
    EXPECT_EQ(refusal(files(authority_, revoked)), "the peer rejects our certificate: certificate revoked");
    const auto port = listen_tls();
    const auto link = connect(port->address(), agent_, files(authority_, good));
    EXPECT_TRUE(wait_for([&] { return agent_.last<Welcome>() != nullptr; }));
}

TEST_F(Tls, EndsTheConnectionOfACertificateThatIsRevoked) {
    const auto stolen = authority_.issue("compute-1", "DNS:compute-1");
    const auto port = listen_tls();
    const auto link = connect(port->address(), agent_, files(authority_, stolen));
    ASSERT_TRUE(wait_for([&] { return agent_.last<Welcome>() != nullptr; }));
    TestAgent other("compute-2");
    const auto innocent =
        connect(port->address(), other, files(authority_, authority_.issue("compute-2", "DNS:compute-2")));
    ASSERT_TRUE(wait_for([&] { return other.last<Welcome>() != nullptr; }));
    server_files_.crl = authority_.revoke(stolen);
    ASSERT_TRUE(port->use({server_files_}));
    ASSERT_TRUE(wait_for([&] { return !agent_.downs.empty(); }));
    EXPECT_EQ(agent_.downs[0], "rejected by the controller: its certificate (compute-1) has been revoked");
    EXPECT_THAT(other.downs, IsEmpty());
}

TEST_F(Tls, LeavesAControllerWhoseCertificateIsRevoked) {
    const auto port = listen_tls();
    TlsFiles own = files(authority_, authority_.issue("compute-1", "DNS:compute-1"));
    const auto link = connect(port->address(), agent_, own);
    ASSERT_TRUE(wait_for([&] { return agent_.last<Welcome>() != nullptr; }));
    own.crl = authority_.revoke({server_files_.certificate, server_files_.key});
    ASSERT_TRUE(link->use({own}));
    ASSERT_TRUE(wait_for([&] { return agent_.downs.size() >= 2; }));
    EXPECT_EQ(agent_.downs[0], "the controller's certificate has been revoked");
    EXPECT_EQ(agent_.downs[1], "the peer's certificate is rejected: certificate revoked") << "nor does it come back";
}

TEST_F(Tls, TellsOfFilesThatCannotBeUsedTogether) {
    const Certificate old = authority_.issue("compute-1", "DNS:compute-1");
    const Certificate renewed = authority_.issue("compute-1", "DNS:compute-1");
    std::string said = "nothing";
    CertificateWatch watch(io_, {authority_.file(), old.certificate, old.key},
                           [&](const std::string& problem) { said = problem; });
    EXPECT_EQ(said, "");
    EXPECT_GT(watch.seconds_left(), watch.notice_seconds());
    EXPECT_GT(watch.notice_seconds(), 0);
    watch.watch({authority_.file(), renewed.certificate, old.key});
    EXPECT_THAT(said, HasSubstr("; what was read before is in use"));
}

TEST_F(Tls, WarnsBeforeACertificateEnds) {
    const auto now = std::chrono::system_clock::now() + std::chrono::minutes(1);  // they are made after it
    const auto hours = [](int count) { return std::chrono::hours(count); };
    const TlsFiles day = files(authority_, authority_.issue("compute-1", "DNS:compute-1", 1));
    EXPECT_EQ(certificate_problem({"", day.certificate, day.key}, now), "");
    EXPECT_THAT(certificate_problem({"", day.certificate, day.key}, now + hours(17)), HasSubstr(" expires at 20"));
    EXPECT_THAT(certificate_problem({"", day.certificate, day.key}, now + hours(25)), HasSubstr(" has expired at 20"));
    EXPECT_THAT(certificate_problem({"", day.certificate, day.key}, now - hours(1)),
                AllOf(HasSubstr(" is valid from 20"), HasSubstr("this host's clock says")));
    const TlsFiles year = files(authority_, authority_.issue("compute-1", "DNS:compute-1", 365));
    EXPECT_EQ(certificate_problem({"", year.certificate, year.key}, now + hours(24 * 334)), "");
    EXPECT_THAT(certificate_problem({"", year.certificate, year.key}, now + hours(24 * 336)),
                HasSubstr(" expires at "));
    EXPECT_THAT(certificate_problem({"/none.pem", year.certificate, year.key}, now), StartsWith("/none.pem: "));
    EXPECT_EQ(certificate_problem({}, now), "");
}

TEST_F(Tls, RefusesAPeerWithoutTlsWithAnOlderOneOrWithoutACertificate) {
    const auto port = listen_tls();
    const auto number = static_cast<unsigned short>(std::stoul(port->address().substr(port->address().rfind(':') + 1)));
    const asio::ip::tcp::endpoint endpoint(asio::ip::address_v4::loopback(), number);
    const auto ends = [&](asio::ip::tcp::socket& socket) {
        socket.non_blocking(true);
        return wait_for([&] {
            std::array<char, 4096> buffer{};
            boost::system::error_code error;
            socket.read_some(asio::buffer(buffer), error);
            return error && error != asio::error::would_block;
        });
    };

    asio::ip::tcp::socket plain(io_);
    plain.connect(endpoint);
    asio::write(plain, asio::buffer(std::string("{\"type\":\"hello\"}\n")));
    EXPECT_TRUE(ends(plain));
    EXPECT_TRUE(wait_for([&] { return port->refused() == 1; }));

    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        asio::ssl::context context(asio::ssl::context::tls_client);
        SSL_CTX_set_max_proto_version(context.native_handle(), version);
        asio::ssl::stream<asio::ip::tcp::socket> client(io_, context);
        client.next_layer().connect(endpoint);
        boost::system::error_code result = asio::error::would_block;
        client.async_handshake(asio::ssl::stream_base::client,
                               [&](const boost::system::error_code& error) { result = error; });
        ASSERT_TRUE(wait_for([&] { return result != asio::error::would_block; }));
        EXPECT_EQ(!result, version == TLS1_3_VERSION) << result.message();
        EXPECT_TRUE(ends(client.next_layer()));
    }
    EXPECT_TRUE(wait_for([&] { return port->refused() == 3; }));
    EXPECT_THAT(controller_.events, IsEmpty());
}

TEST_F(Tls, NamesTheFileThatCannotBeUsed) {
    const auto error = [&](const TlsFiles& tls) {
        const auto link = make_agent_link(io_, "tls://localhost:1", {tls});
        return link ? "accepted" : link.error().message;
    };
    const TlsFiles good = server_files_;
    EXPECT_THAT(error({"/none/ca.pem", good.certificate, good.key}), StartsWith("/none/ca.pem: "));
    EXPECT_THAT(error({good.ca, good.key, good.key}), StartsWith(good.key + ": "));
    EXPECT_THAT(error({good.ca, good.certificate, authority_.issue("other").key}), HasSubstr("key values mismatch"));
    EXPECT_EQ(error(good), "accepted");
}

TEST_F(Tls, TakesRenewedCertificatesWithoutARestart) {
    const Authority next(directory_, "next");
    const Certificate renewed = next.issue("controller-1", "IP:127.0.0.1");
    const auto port = listen_tls();
    const auto link = connect(port->address(), agent_, files(next, next.issue("compute-1", "DNS:compute-1")));
    ASSERT_TRUE(wait_for([&] { return !agent_.downs.empty(); }));
    EXPECT_EQ(agent_.ups, 0);

    std::filesystem::copy_file(next.file(), server_files_.ca, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::copy_file(renewed.certificate, server_files_.certificate,
                               std::filesystem::copy_options::overwrite_existing);
    std::filesystem::copy_file(renewed.key, server_files_.key, std::filesystem::copy_options::overwrite_existing);
    EXPECT_TRUE(wait_for([&] { return agent_.last<Welcome>() != nullptr; }));
}

TEST_F(Tls, OtherFilesAreForTheConnectionsFromNowOn) {
    const Authority next(directory_, "next");
    const auto port = listen_tls();
    const auto link =
        connect(port->address(), agent_, files(authority_, authority_.issue("compute-1", "DNS:compute-1")));
    ASSERT_TRUE(wait_for([&] { return agent_.last<Welcome>() != nullptr; }));
    EXPECT_THAT(port->use({{"/none/ca.pem", "/none/c.pem", "/none/c.key"}}).error().message,
                StartsWith("/none/ca.pem: "));
    ASSERT_TRUE(port->use({files(next, next.issue("controller-1", "IP:127.0.0.1"))}));
    ASSERT_TRUE(link->use({files(next, next.issue("compute-1", "DNS:compute-1"))}));
    link->send(GuestGone{base::GuestId("g-1")});
    EXPECT_TRUE(wait_for([&] { return controller_.messages.size() == 1; }));
    EXPECT_THAT(agent_.downs, IsEmpty()) << "what is there stays";
    port->send(base::HostId("compute-1"), Rejected{"again", {}});
    EXPECT_TRUE(wait_for([&] { return agent_.ups == 2; }));
}

}  // namespace
}  // namespace vitalwire::bus
