/* Jobs on the query thread: order, capacity, cancelling, the end. */
#include "api_fixture.h"

struct counted_job {
    struct query_job job;
    int number;
    bool was_run;
    struct waker *gate; /* run() waits until somebody opens it */
    atomic_bool *has_begun;
};

static int finished[2 * QUERY_QUEUE_CAPACITY];
static bool was_run[2 * QUERY_QUEUE_CAPACITY], was_cancelled[2 * QUERY_QUEUE_CAPACITY];
static int finished_count;
static atomic_bool gate_is_open, has_begun;

static void run(struct query_job *job, struct query_tools *tools)
{
    struct counted_job *counted = (struct counted_job *)job;
    (void)tools;
    counted->was_run = true;
    while (counted->gate && !atomic_load(&gate_is_open) && !atomic_load(&job->is_cancelled)) {
        atomic_store(counted->has_begun, true);
        waker_prepare(counted->gate);
        waker_wait(counted->gate, 1000); /* cancelling wakes nobody: look again now and then */
    }
}

static void finish(struct query_job *job)
{
    struct counted_job *counted = (struct counted_job *)job;
    was_run[finished_count] = counted->was_run;
    was_cancelled[finished_count] = atomic_load(&job->is_cancelled);
    finished[finished_count++] = counted->number;
    free(counted);
}

static struct query_job *make_job(int number, struct waker *gate)
{
    struct counted_job *job = calloc(1, sizeof *job);
    assert_non_null(job);
    *job = (struct counted_job){
        .number = number, .gate = gate, .has_begun = &has_begun, .job.run = run, .job.finish = finish};
    return &job->job;
}

static struct waker io_waker, gate;
static struct query_thread *queries;

static int begin(void **state)
{
    (void)state;
    static const struct config config = {.data_dir = "/nonexistent"};
    finished_count = 0;
    atomic_store(&gate_is_open, false);
    atomic_store(&has_begun, false);
    waker_open(&io_waker);
    waker_open(&gate);
    queries = query_thread_start(&config, &io_waker);
    return 0;
}

static int end(void **state)
{
    (void)state;
    waker_close(&io_waker);
    waker_close(&gate);
    return 0;
}

static void open_gate(void)
{
    atomic_store(&gate_is_open, true);
    waker_wake(&gate);
}

static void collect(int count)
{
    while (finished_count < count) {
        waker_prepare(&io_waker);
        if (query_thread_collect(queries) > 0)
            waker_cancel(&io_waker);
        else
            waker_wait(&io_waker, 10 * SECOND);
    }
}

static void wait_until_begun(void)
{
    while (!atomic_load(&has_begun))
        sched_yield();
}

static void jobs_finish_once_and_in_order(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        finished_count = 0;
        for (int i = 0; i < 10; i++)
            assert_true(query_thread_submit(queries, make_job(i, NULL)));
        collect(10);
        for (int i = 0; i < 10; i++)
            assert_true(finished[i] == i && was_run[i] && !was_cancelled[i]);
    }
    query_thread_stop(queries);
    assert_int_equal(finished_count, 10);
}

static void job_beyond_the_capacity_is_refused(void **state)
{
    (void)state;
    for (int i = 0; i < QUERY_QUEUE_CAPACITY; i++)
        assert_true(query_thread_submit(queries, make_job(i, &gate)));
    struct query_job *refused = make_job(1000, NULL);
    assert_false(query_thread_submit(queries, refused));
    open_gate();
    collect(1);
    assert_true(query_thread_submit(queries, refused));
    collect(QUERY_QUEUE_CAPACITY + 1);
    assert_int_equal(finished[QUERY_QUEUE_CAPACITY], 1000);
    query_thread_stop(queries);
}

static void cancelled_job_is_finished_but_not_run(void **state)
{
    (void)state;
    struct query_job *unwanted = make_job(1, NULL);
    assert_true(query_thread_submit(queries, make_job(0, &gate)));
    assert_true(query_thread_submit(queries, unwanted));
    query_job_cancel(unwanted);
    open_gate();
    collect(2);
    assert_true(was_run[0] && !was_run[1] && was_cancelled[1]);
    query_thread_stop(queries);
}

static void stopping_cancels_the_running_job_and_finishes_all(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        assert_true(query_thread_submit(queries, make_job(i, &gate)));
    wait_until_begun();
    query_thread_stop(queries); /* the gate stays shut: only cancelling ends the first job */
    assert_int_equal(finished_count, 5);
    for (int i = 0; i < 5; i++)
        assert_true(finished[i] == i && was_cancelled[i] && was_run[i] == (i == 0));
}

static void read_nothing(struct query_job *job, struct query_tools *tools)
{
    struct store_reader *reader;
    struct error error = {{0}};
    (void)job;
    assert(query_tools_reader(tools, &reader, &error) != STATUS_OK && error.text[0]);
}

static void store_that_is_not_there_is_a_reason_not_a_crash(void **state)
{
    (void)state;
    struct query_job *job = make_job(0, NULL);
    job->run = read_nothing;
    assert_true(query_thread_submit(queries, job));
    collect(1);
    query_thread_stop(queries);
}

#define JOB_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOB_TEST(jobs_finish_once_and_in_order),
        JOB_TEST(job_beyond_the_capacity_is_refused),
        JOB_TEST(cancelled_job_is_finished_but_not_run),
        JOB_TEST(stopping_cancels_the_running_job_and_finishes_all),
        JOB_TEST(store_that_is_not_there_is_a_reason_not_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
