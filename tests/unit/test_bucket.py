"""A bucket gives what its rate and burst allow, whoever looks how often."""

from shared.bucket import Bucket, Limit, next_token_s, taken

LIMIT = Limit(rate=10, burst=20)
NOW = 1_767_225_600_000


def got_over(seconds: int, *, asking_every_ms: int) -> int:
    bucket, total = None, 0
    for now in range(NOW, NOW + seconds * 1000, asking_every_ms):
        bucket, got = taken(bucket, LIMIT, now)
        total += got
    return total


def test_over_time_it_gives_its_burst_and_its_rate_and_no_more() -> None:
    for every_ms in (1, 10, 333):
        assert 20 + 10 * 59 <= got_over(60, asking_every_ms=every_ms) <= 20 + 10 * 60


def test_an_idle_bucket_holds_no_more_than_its_burst() -> None:
    assert taken(Bucket(0, NOW), LIMIT, NOW + 3_600_000) == (Bucket(15, NOW + 3_600_000), 5)


def test_a_clock_that_is_behind_takes_nothing_back() -> None:
    bucket, got = taken(Bucket(3, NOW), LIMIT, NOW - 2_000)
    assert (bucket, got) == (Bucket(0, NOW), 3)


def test_it_tells_when_the_next_token_is_there() -> None:
    assert next_token_s(Bucket(0.5, NOW), LIMIT) == 0.05
    assert next_token_s(Bucket(7, NOW), LIMIT) == 0


def test_a_batch_is_what_half_a_second_brings_and_at_least_one() -> None:
    assert [Limit(rate, 20).batch for rate in (0.1, 10, 1_000)] == [1, 5, 20]
