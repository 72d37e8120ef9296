#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>

#include "base/ids.hpp"
#include "host/sources/libvirt/libvirt_threads.hpp"

namespace vitalwire::host {

/// Asks about guests on threads, of which there are as many as calls are under way, at most `most`; a thread that was
/// not used for a while ends. Used on the loop's thread; nothing here waits.
///
/// `Asker` is one thread's way to ask, which may take its time: `Result ask(const Subject&)`, and what a question
/// results in that cannot be asked, `static Result unknown()`.
template <class Asker>
class BlockingCalls {
public:
    using Subject = typename Asker::Subject;
    using Result = typename Asker::Result;
    using MakeAsker = std::function<std::unique_ptr<Asker>()>;
    /// Called on the loop, once for each call that returns.
    using Returned = std::function<void(const Subject& subject, std::int64_t number, const Result& result)>;

    BlockingCalls(boost::asio::io_context& io, int most, MakeAsker make_asker, Returned returned)
        : shared_(std::make_shared<Shared>(io, most, std::move(make_asker), std::move(returned))) {}
    /// Calls that are under way end on their own threads, and their results are dropped.
    ~BlockingCalls() { shared_->end(); }
    BlockingCalls(const BlockingCalls&) = delete;
    BlockingCalls& operator=(const BlockingCalls&) = delete;

    void ask(Subject subject, std::int64_t number) { shared_->ask(std::move(subject), number); }

private:
    /// A connection to libvirt that is not used is closed after this.
    static constexpr std::chrono::seconds kUnused{60};
    /// What a process that ends waits for calls that are about to return.
    static constexpr std::chrono::milliseconds kEndPatience{200};

    struct Question {
        Subject subject;
        std::int64_t number = 0;
    };

    /// What the loop and the threads have in common; outlives the calls while one hangs.
    class Shared : public std::enable_shared_from_this<Shared> {
    public:
        Shared(boost::asio::io_context& io, int most, MakeAsker make_asker, Returned returned)
            : io_(&io), most_(most), make_asker_(std::move(make_asker)), returned_(std::move(returned)) {}

        // On the loop.
        void ask(Subject subject, std::int64_t number) {
            const std::lock_guard lock(mutex_);
            questions_.push_back({std::move(subject), number});
            if (static_cast<int>(questions_.size()) > unused_ && threads_ < most_) start_thread();
            if (threads_ == 0) return fail_all();
            changed_.notify_one();
        }
        void end() {
            std::unique_lock lock(mutex_);
            io_ = nullptr;
            questions_.clear();
            changed_.notify_all();
            changed_.wait_for(lock, kEndPatience, [this] { return threads_ == 0; });
            returned_ = nullptr;
        }

    private:
        void start_thread() {
            ++threads_;
            try {
                quiet_thread([self = this->shared_from_this()] { self->run(); }).detach();
            } catch (const std::system_error&) {
                --threads_;
            }
        }
        /// Without any thread nothing is found out.
        void fail_all() {
            for (const Question& question : std::exchange(questions_, {}))
                tell(question, Asker::unknown());
        }

        // On the threads.
        void run() {
            const auto asker = make_asker_();
            while (const auto question = next()) {
                Result result = asker->ask(question->subject);
                const std::lock_guard lock(mutex_);
                tell(*question, std::move(result));
            }
        }
        /// Empty when the thread is to end.
        std::optional<Question> next() {
            std::unique_lock lock(mutex_);
            ++unused_;
            changed_.wait_for(lock, kUnused, [this] { return io_ == nullptr || !questions_.empty(); });
            --unused_;
            if (io_ == nullptr || questions_.empty()) {
                --threads_;
                changed_.notify_all();
                return std::nullopt;
            }
            Question question = std::move(questions_.front());
            questions_.pop_front();
            return question;
        }

        /// With the lock.
        void tell(const Question& question, Result result) {
            if (io_ == nullptr) return;
            boost::asio::post(*io_, [self = this->shared_from_this(), question, result = std::move(result)] {
                if (self->returned_) self->returned_(question.subject, question.number, result);
            });
        }

        std::mutex mutex_;
        std::condition_variable changed_;
        boost::asio::io_context* io_;
        const int most_;
        const MakeAsker make_asker_;
        Returned returned_;  ///< used on the loop only
        std::deque<Question> questions_;
        int threads_ = 0;
        int unused_ = 0;  ///< threads that wait for a question
    };

    std::shared_ptr<Shared> shared_;
};

}  // namespace vitalwire::host
