#include "guest/stream.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <iterator>
#include <system_error>
#include <utility>

namespace vitalwire::guest {

namespace {

constexpr std::size_t kReadSize = 4096;
/// Reads in one turn of the event loop: a host that floods does not keep the checks and applications from running.
constexpr int kReadsPerTurn = 16;

epoll_event edges(bool with_room) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLRDHUP | EPOLLET | (with_room ? EPOLLOUT : 0U);
    return event;
}

tl::unexpected<base::Error> failure(const std::error_code& why) {
    const bool is_file = why == std::errc::operation_not_permitted;
    return base::fail(is_file ? base::Errc::config : base::Errc::io, "epoll: " + why.message());
}

}  // namespace

base::Result<std::shared_ptr<Stream>> Stream::make(boost::asio::io_context& io, int descriptor, Handler handler) {
    std::shared_ptr<Stream> stream(new Stream(io, descriptor, std::move(handler)));
    if (auto made = stream->make_edge_set(); !made) return tl::make_unexpected(made.error());
    return stream;
}

Stream::Stream(boost::asio::io_context& io, int descriptor, Handler handler)
    : io_(io), descriptor_(descriptor), edges_(io), handler_(std::move(handler)) {}

base::Result<void> Stream::make_edge_set() {
    const int set = ::epoll_create1(EPOLL_CLOEXEC);
    if (set < 0) return failure({errno, std::generic_category()});
    epoll_event event = edges(true);
    const bool added = ::epoll_ctl(set, EPOLL_CTL_ADD, descriptor_, &event) == 0;
    boost::system::error_code error(errno, boost::system::generic_category());
    if (added) edges_.assign(set, error);
    if (added && !error) return {};
    ::close(set);
    return failure(error);
}

Stream::~Stream() {
    close();
}

void Stream::start() {
    const auto self = shared_from_this();
    look();
    wait();
}

void Stream::close() {
    if (closed_) return;
    closed_ = true;
    boost::system::error_code ignored;
    edges_.close(ignored);
    ::close(descriptor_);
}

void Stream::wait() {
    if (closed_) return;
    edges_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                      [self = shared_from_this()](boost::system::error_code error) {
                          if (error || self->closed_) return;
                          epoll_event event{};
                          ::epoll_wait(self->edges_.native_handle(), &event, 1, 0);
                          self->look();
                          self->wait();
                      });
}

void Stream::look() {
    const auto self = shared_from_this();
    reading_ = true;
    ReadResult result = ReadResult::more;
    for (int i = 0; i < kReadsPerTurn && result == ReadResult::more && !closed_; ++i)
        result = read_some();
    reading_ = false;
    if (closed_) return;
    switch (result) {
        case ReadResult::gone:
            return handler_.on_gone(gone_);
        case ReadResult::hung_up:
            return hung_up();
        case ReadResult::more:
            // No new edge will tell of bytes that are there already.
            boost::asio::post(io_, [self] {
                if (!self->closed_) self->look();
            });
            break;
        case ReadResult::quiet:
            opened();
            break;
    }
    flush();
    watch_room();
}

Stream::ReadResult Stream::read_some() {
    std::array<char, kReadSize> buffer;
    const ssize_t count = ::read(descriptor_, buffer.data(), buffer.size());
    if (count > 0) {
        opened();
        if (!closed_) handler_.on_bytes({buffer.data(), static_cast<std::size_t>(count)});
        return ReadResult::more;
    }
    if (count == 0) return ReadResult::hung_up;
    if (errno == EINTR) return ReadResult::more;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return ReadResult::quiet;
    if (errno == ECONNRESET) return ReadResult::hung_up;
    gone_ = errno;
    return ReadResult::gone;
}

void Stream::opened() {
    if (host_ == Host::there) return;
    host_ = Host::there;
    handler_.on_open();
}

void Stream::hung_up() {
    queue_.clear();
    queued_bytes_ = 0;
    written_of_first_ = 0;
    if (host_ == Host::away) return;
    host_ = Host::away;
    watch_room();
    handler_.on_hang_up();
}

bool Stream::send(std::string message, Priority priority) {
    if (closed_ || host_ != Host::there) return false;
    if (priority == Priority::answer) {
        drop_earlier_answer();
    } else if (queued_bytes_ + message.size() > (priority == Priority::bulk ? kMaxBulk : kMaxQueued)) {
        return false;
    }
    queued_bytes_ += message.size();
    const auto place = priority == Priority::answer ? first_unbegun() : queue_.end();
    queue_.insert(place, {std::move(message), priority});
    // What is answered while reading is written after it: of two challenges in one read only the last counts.
    if (reading_) return true;
    flush();
    watch_room();
    return true;
}

std::deque<Stream::Message>::iterator Stream::first_unbegun() {
    return written_of_first_ > 0 ? std::next(queue_.begin()) : queue_.begin();
}

void Stream::drop_earlier_answer() {
    // Answers stand in front, and there is never more than one.
    const auto earlier = first_unbegun();
    if (earlier == queue_.end() || earlier->priority != Priority::answer) return;
    queued_bytes_ -= earlier->bytes.size();
    queue_.erase(earlier);
}

/// A host that comes to a port may be seen by nothing but room.
void Stream::watch_room() {
    const bool matters = host_ != Host::there || !queue_.empty();
    if (closed_ || matters == watches_room_) return;
    watches_room_ = matters;
    epoll_event event = edges(matters);
    // What is the case already is an edge to the changed set.
    ::epoll_ctl(edges_.native_handle(), EPOLL_CTL_MOD, descriptor_, &event);
}

void Stream::flush() {
    while (!closed_ && !queue_.empty()) {
        const std::string& first = queue_.front().bytes;
        const ssize_t count = ::write(descriptor_, first.data() + written_of_first_, first.size() - written_of_first_);
        // Writable again, hung up or unplugged: each is an edge that `look` will see.
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return;
        written_of_first_ += static_cast<std::size_t>(count);
        if (written_of_first_ < first.size()) continue;
        queued_bytes_ -= first.size();
        written_of_first_ = 0;
        queue_.pop_front();
    }
}

}  // namespace vitalwire::guest
