#include "runtime/http/http_client.hpp"

#include <curl/curl.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <cctype>
#include <cstring>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "base/text.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::runtime {

namespace asio = boost::asio;
using base::Errc;
using base::fail;
using base::Millis;
using base::Result;
using boost::system::error_code;

namespace {

constexpr std::size_t kMaxBody = 64U << 20U;
constexpr std::size_t kMaxHeaders = 64U << 10U;
constexpr std::size_t kShownBody = 4U << 10U;  ///< of an answer whose status is all that counts
constexpr long kAuthoritiesKept = 5;           // seconds
constexpr long kMaxConnections = 64;           // kept open in all

struct EasyCloser {
    void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct ListCloser {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
struct MultiCloser {
    void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};

/// One request under way and what has arrived of its answer.
struct Transfer {
    HttpClientRequest request;
    HttpClient::Done done;
    std::unique_ptr<CURL, EasyCloser> easy{curl_easy_init()};
    std::unique_ptr<curl_slist, ListCloser> headers;
    HttpClientResponse response;
    std::size_t header_bytes = 0;
    bool header_complete = false;
    bool too_large = false;
    std::string forbidden;  ///< why the connection was not made
    char problem[CURL_ERROR_SIZE] = {};
};

std::string_view trim(std::string_view text) {
    const auto first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::size_t on_body(char* bytes, std::size_t /*one*/, std::size_t size, void* user) {
    auto& transfer = *static_cast<Transfer*>(user);
    const std::size_t most = transfer.request.status_only ? kShownBody : kMaxBody;
    transfer.too_large = transfer.response.body.size() + size > most;
    if (transfer.too_large) return 0;
    transfer.response.body.append(bytes, size);
    return size;
}

std::size_t on_header(char* bytes, std::size_t /*one*/, std::size_t size, void* user) {
    auto& transfer = *static_cast<Transfer*>(user);
    const std::string_view line(bytes, size);
    if (line.starts_with("HTTP/")) {  // the final answer follows an interim one
        transfer.response.headers.clear();
        transfer.header_complete = false;
    }
    transfer.header_bytes += size;
    transfer.too_large = transfer.header_bytes > kMaxHeaders;
    if (transfer.too_large) return 0;
    if (line == "\r\n" || line == "\n") transfer.header_complete = true;
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return size;
    std::string name(trim(line.substr(0, colon)));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    transfer.response.headers[std::move(name)] = trim(line.substr(colon + 1));
    return size;
}

/// Makes the socket of a connection whose address has to be allowed.
curl_socket_t on_open_socket(void* user, curlsocktype, curl_sockaddr* address) {
    auto& transfer = *static_cast<Transfer*>(user);
    asio::ip::tcp::endpoint endpoint;
    if (address->addrlen > endpoint.capacity()) return CURL_SOCKET_BAD;
    std::memcpy(endpoint.data(), &address->addr, address->addrlen);
    endpoint.resize(address->addrlen);
    std::string why = transfer.request.why_not_connect(endpoint);
    if (why.empty()) return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    transfer.forbidden = std::move(why);
    return CURL_SOCKET_BAD;
}

bool is_one_line(std::string_view text) {
    return text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

/// Absent when the request can be sent as it is.
std::optional<std::string> refusal(const HttpClientRequest& request) {
    if (!is_one_line(request.url) || !is_one_line(request.method)) return "a URL or method with a line break";
    for (const auto& [name, value] : request.headers) {
        if (name.empty() || !is_one_line(name) || !is_one_line(value)) return "a header with a line break";
    }
    return std::nullopt;
}

Errc kind_of(CURLcode code) {
    switch (code) {
        case CURLE_OPERATION_TIMEDOUT:
            return Errc::timeout;
        case CURLE_URL_MALFORMAT:
        case CURLE_UNSUPPORTED_PROTOCOL:
        case CURLE_SSL_CACERT_BADFILE:
            return Errc::config;
        case CURLE_COULDNT_RESOLVE_HOST:
        case CURLE_COULDNT_CONNECT:
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CONNECT_ERROR:
            return Errc::unavailable;
        default:
            return Errc::io;
    }
}

std::string seconds(Millis time) {
    std::string text = std::to_string(time.count() / 1000);
    if (const auto rest = time.count() % 1000; rest != 0) text += '.' + std::to_string(1000 + rest).substr(1);
    return text + " s";
}

/// What went wrong, for people, in the same words each time. Of a connection that did not come about libcurl tells the
/// reason apart.
std::string problem_of(const Transfer& transfer, CURLcode code) {
    if (code == CURLE_OPERATION_TIMEDOUT) {
        curl_off_t connected = 0;
        curl_easy_getinfo(transfer.easy.get(), CURLINFO_CONNECT_TIME_T, &connected);
        return (connected == 0 ? "no connection within " : "no answer within ") + seconds(transfer.request.timeout);
    }
    long system = 0;
    curl_easy_getinfo(transfer.easy.get(), CURLINFO_OS_ERRNO, &system);
    if (code == CURLE_COULDNT_CONNECT && system != 0)
        return "cannot connect: " + std::generic_category().message(static_cast<int>(system));
    return transfer.problem[0] != '\0' ? transfer.problem : curl_easy_strerror(code);
}

void set_up(Transfer& transfer) {
    CURL* easy = transfer.easy.get();
    const HttpClientRequest& request = transfer.request;
    curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    // A cloud's own services are reached directly, whatever the environment of the daemon's parent has.
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);  // do not wait for a resolver that hangs
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<Millis::rep>(request.timeout.count(), 1)));
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.timeout.count()));
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer.problem);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, &transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, &transfer);
    if (request.why_not_connect) {
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, &transfer);
        // A connection that others made to this name was not asked about, and this one's is not theirs.
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    }
    if (!request.unix_socket.empty()) curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, request.unix_socket.c_str());
    if (!request.ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, request.ca_file.c_str());
    // Authorities that are renewed count soon; without this after a day.
    curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, kAuthoritiesKept);
    if (!request.user_password.empty()) curl_easy_setopt(easy, CURLOPT_USERPWD, request.user_password.c_str());
    if (request.insecure) {
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (request.method == "HEAD") {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else if (request.method != "GET" || !request.body.empty()) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.c_str());
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    }

    curl_slist* headers = curl_slist_append(nullptr, "Expect:");  // a round trip for nothing
    for (const auto& [name, value] : request.headers)
        headers = curl_slist_append(headers, (name + (value.empty() ? ";" : ": " + value)).c_str());
    transfer.headers.reset(headers);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
}

}  // namespace

class HttpClient::Impl : public std::enable_shared_from_this<Impl> {
public:
    explicit Impl(asio::io_context& io) : io_(io), timer_(io) {
        static std::once_flag once;
        std::call_once(once, [] { curl_global_init(CURL_GLOBAL_ALL); });
        multi_.reset(curl_multi_init());
        curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETFUNCTION, on_socket);
        curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETDATA, this);
        curl_multi_setopt(multi_.get(), CURLMOPT_TIMERFUNCTION, on_timer);
        curl_multi_setopt(multi_.get(), CURLMOPT_TIMERDATA, this);
        curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, kMaxConnections);
    }

    void send(HttpClientRequest request, Done done);
    void stop();

private:
    /// A socket of libcurl's, watched while libcurl wants it. libcurl owns and closes the descriptor.
    struct Watched {
        Watched(asio::io_context& io, curl_socket_t descriptor) : stream(io, descriptor) {}
        ~Watched() { stream.release(); }
        Watched(const Watched&) = delete;
        Watched& operator=(const Watched&) = delete;

        asio::posix::stream_descriptor stream;
        int wanted = 0;        ///< CURL_POLL_IN, CURL_POLL_OUT, both
        bool reading = false;  ///< a wait is under way
        bool writing = false;
    };

    static int on_socket(CURL*, curl_socket_t socket, int what, void* user, void*) {
        static_cast<Impl*>(user)->watch(socket, what);
        return 0;
    }
    static int on_timer(CURLM*, long timeout_ms, void* user) {
        static_cast<Impl*>(user)->set_timer(timeout_ms);
        return 0;
    }

    void watch(curl_socket_t socket, int what);
    void await(curl_socket_t socket, const std::shared_ptr<Watched>& watched);
    void set_timer(long timeout_ms);
    void act(curl_socket_t socket, int events);
    void finish_transfers();
    void finish(CURL* easy, CURLcode code);
    void answer_later(Done done, base::Error error);

    asio::io_context& io_;
    Timer timer_;
    std::map<curl_socket_t, std::shared_ptr<Watched>> sockets_;
    std::map<CURL*, std::unique_ptr<Transfer>> transfers_;
    std::unique_ptr<CURLM, MultiCloser> multi_;  ///< null once stopped
};

void HttpClient::Impl::send(HttpClientRequest request, Done done) {
    if (!multi_) return;
    if (auto why = refusal(request)) return answer_later(std::move(done), {Errc::bad_field, std::move(*why)});
    auto transfer = std::make_unique<Transfer>();
    transfer->request = std::move(request);
    transfer->done = std::move(done);
    set_up(*transfer);
    CURL* easy = transfer->easy.get();
    if (curl_multi_add_handle(multi_.get(), easy) != CURLM_OK)
        return answer_later(std::move(transfer->done), {Errc::io, "no request could be started"});
    transfers_[easy] = std::move(transfer);
}

void HttpClient::Impl::answer_later(Done done, base::Error error) {
    asio::post(io_, [self = shared_from_this(), done = std::move(done), error = std::move(error)]() mutable {
        if (self->multi_) done(tl::make_unexpected(std::move(error)));
    });
}

void HttpClient::Impl::watch(curl_socket_t socket, int what) {
    if (what == CURL_POLL_REMOVE) {
        const auto removed = sockets_.extract(socket);
        // Now, not when the last handler lets go of it: libcurl may use the descriptor again at once.
        if (!removed.empty()) removed.mapped()->stream.release();
        return;
    }
    auto& watched = sockets_[socket];
    if (!watched) watched = std::make_shared<Watched>(io_, socket);
    watched->wanted = what;
    await(socket, watched);
}

void HttpClient::Impl::await(curl_socket_t socket, const std::shared_ptr<Watched>& watched) {
    const auto wait = [&](int event, bool Watched::*under_way, asio::posix::stream_descriptor::wait_type type,
                          int select) {
        if ((watched->wanted & event) == 0 || (*watched).*under_way) return;
        (*watched).*under_way = true;
        watched->stream.async_wait(type,
                                   [=, weak = weak_from_this(), which = std::weak_ptr(watched)](error_code error) {
                                       const auto self = weak.lock();
                                       const auto still = which.lock();
                                       if (!self || !still || error == asio::error::operation_aborted) return;
                                       (*still).*under_way = false;
                                       if ((still->wanted & event) != 0)
                                           self->act(socket, error ? CURL_CSELECT_ERR : select);
                                       // The same socket may have been closed and opened again: only the object says
                                       // whether it is still watched.
                                       const auto now = self->sockets_.find(socket);
                                       if (now != self->sockets_.end() && now->second == still)
                                           self->await(socket, still);
                                   });
    };
    wait(CURL_POLL_IN, &Watched::reading, asio::posix::stream_descriptor::wait_read, CURL_CSELECT_IN);
    wait(CURL_POLL_OUT, &Watched::writing, asio::posix::stream_descriptor::wait_write, CURL_CSELECT_OUT);
}

void HttpClient::Impl::set_timer(long timeout_ms) {
    timer_.cancel();
    if (timeout_ms < 0) return;
    timer_.after(Millis(timeout_ms), [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->act(CURL_SOCKET_TIMEOUT, 0);
    });
}

void HttpClient::Impl::act(curl_socket_t socket, int events) {
    if (!multi_) return;
    int running = 0;
    curl_multi_socket_action(multi_.get(), socket, events, &running);
    finish_transfers();
}

void HttpClient::Impl::finish_transfers() {
    std::vector<std::pair<CURL*, CURLcode>> finished;
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
        if (message->msg == CURLMSG_DONE) finished.emplace_back(message->easy_handle, message->data.result);
    }
    for (const auto& [easy, code] : finished) {
        if (!multi_) return;  // a callback stopped us
        finish(easy, code);
    }
}

void HttpClient::Impl::finish(CURL* easy, CURLcode code) {
    const auto entry = transfers_.find(easy);
    if (entry == transfers_.end()) return;
    const std::unique_ptr<Transfer> transfer = std::move(entry->second);
    transfers_.erase(entry);
    curl_multi_remove_handle(multi_.get(), easy);
    // libcurl takes a connection that ends within the header for the end of an answer.
    if (code == CURLE_OK && !transfer->header_complete)
        return transfer->done(fail(Errc::io, "the answer ends within its header"));
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &transfer->response.status);
    const bool has_status = transfer->header_complete && transfer->response.status >= 200;
    if (code == CURLE_OK || (transfer->request.status_only && has_status))
        return transfer->done(std::move(transfer->response));
    if (!transfer->forbidden.empty()) return transfer->done(fail(Errc::permission, transfer->forbidden));
    if (transfer->too_large) {
        const bool header = transfer->header_bytes > kMaxHeaders;
        return transfer->done(fail(Errc::too_large, header ? "the answer's header is larger than 64 KiB"
                                                           : "the answer is larger than 64 MiB"));
    }
    transfer->done(fail(kind_of(code), base::escape(problem_of(*transfer, code))));
}

void HttpClient::Impl::stop() {
    if (!multi_) return;
    timer_.cancel();
    for (const auto& [easy, transfer] : transfers_)
        curl_multi_remove_handle(multi_.get(), easy);
    transfers_.clear();
    const auto multi = std::exchange(multi_, nullptr);
    // Closing its connections, libcurl calls back a last time; the descriptors must leave the loop before.
    curl_multi_setopt(multi.get(), CURLMOPT_SOCKETFUNCTION, nullptr);
    curl_multi_setopt(multi.get(), CURLMOPT_TIMERFUNCTION, nullptr);
    for (const auto& [socket, watched] : sockets_)
        watched->stream.release();
    sockets_.clear();
}

HttpClient::HttpClient(asio::io_context& io) : impl_(std::make_shared<Impl>(io)) {}
HttpClient::~HttpClient() {
    impl_->stop();
}
void HttpClient::send(HttpClientRequest request, Done done) {
    impl_->send(std::move(request), std::move(done));
}
void HttpClient::stop() {
    impl_->stop();
}

}  // namespace vitalwire::runtime
