from __future__ import annotations

import re
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest
from clock import Clock
from provider import Answer, Provider, Request, hour, iso
from unseen import BASIC, PASSWORD, TOKEN, USER, failing, shown

from carbonedge.carbon.intensity import WattTime

FORECAST = "/v3/forecast"
HISTORICAL = "/v3/historical"
REGION = "CAISO_NORTH"
EXPIRED = Answer(b"<html><title>403 Forbidden</title></html>", 403)


class Account:
    """Logs in by name and password and answers only to the newest token."""

    def __init__(self, provider: Provider) -> None:
        self.logins = 0
        self.token = ""
        self._lock = threading.Lock()
        provider.say("/login", self.login)

    def login(self, request: Request) -> Answer:
        if request.headers.get("authorization") != f"Basic {BASIC}":
            return Answer({"error": "wrong"}, 401)
        with self._lock:
            self.logins += 1
            self.token = f"{TOKEN}-{self.logins}"
        return Answer({"token": self.token})

    def only(self, body: object) -> object:
        """Says it to who shows the newest token."""

        def answer(request: Request) -> Answer:
            if request.headers.get("authorization") != f"Bearer {self.token}":
                return EXPIRED
            return body(request) if callable(body) else Answer(body)

        return answer


@pytest.fixture
def account(provider: Provider) -> Account:
    return Account(provider)


def watttime(provider: Provider, **more: object) -> WattTime:
    return WattTime(USER, PASSWORD, base_url=provider.url, **{"timeout_s": 2.0, **more})


def five_minutes(offset: int = 0) -> int:
    return int(time.time() // 300 + offset) * 300


def series(*points: tuple[float, object], **meta: object) -> dict[str, object]:
    """Values by time, as the API gives them."""
    return {
        "data": [{"point_time": iso(at_s, ":00+00:00"), "value": value} for at_s, value in points],
        "meta": {
            "data_point_period_seconds": 300,
            "region": REGION,
            "signal_type": "co2_moer",
            "units": "lbs_co2_per_mwh",
            "warnings": [],
            "model": {"date": "2022-10-01"},
            "generated_at": iso(time.time()),
            **meta,
        },
    }


def test_pounds_per_mwh_become_grams_per_kwh_exactly(provider: Provider, account: Account) -> None:
    provider.say(FORECAST, account.only(series((five_minutes(), 1000))))
    now = watttime(provider).at(REGION)
    assert now.g_per_kwh == 453.59237
    assert (now.zone, now.source, now.kind) == (REGION, "watttime v3 co2_moer", "forecast")
    assert (now.accounting, now.factors) == ("marginal", "direct")
    assert (now.valid_from_s, now.valid_until_s) == (five_minutes(), five_minutes(1))
    (request,) = provider.asked(FORECAST)
    assert request.params == {"region": REGION, "signal_type": "co2_moer", "horizon_hours": "0"}


def test_co2_aoer_is_an_average(provider: Provider, account: Account) -> None:
    points = series((five_minutes(), 1000), signal_type="co2_aoer")
    provider.say(FORECAST, account.only(points))
    signal = watttime(provider, signal_type="co2_aoer")
    assert signal.at(REGION).accounting == signal.accounting == "average"


@pytest.mark.parametrize("signal_type", ["health_damage", "percentile", ""])
def test_signals_that_are_no_intensity_are_refused(signal_type: str) -> None:
    with pytest.raises(ValueError, match="no carbon intensity"):
        WattTime(USER, PASSWORD, signal_type=signal_type)


def test_one_login_serves_many_calls_and_threads(provider: Provider, account: Account) -> None:
    provider.say(FORECAST, account.only(series((five_minutes(), 1000))))
    signal = watttime(provider, timeout_s=20.0)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: signal.at(REGION), range(24)))
    assert account.logins == 1
    assert len(provider.asked(FORECAST)) == 24


def test_a_token_is_renewed_before_it_ends(
    provider: Provider, account: Account, clock: Clock
) -> None:
    provider.say(FORECAST, account.only(series((five_minutes(), 1000))))
    signal = watttime(provider)
    signal.at(REGION)
    clock.ahead_s = 24 * 60
    signal.at(REGION)
    assert account.logins == 1
    clock.ahead_s = 26 * 60
    signal.at(REGION)
    assert account.logins == 2
    assert len(provider.asked(FORECAST)) == 3


def test_a_token_that_holds_no_more_is_renewed_once(provider: Provider, account: Account) -> None:
    provider.say(FORECAST, account.only(series((five_minutes(), 1000))))
    signal = watttime(provider)
    signal.at(REGION)
    account.token = "another"
    assert signal.at(REGION).g_per_kwh == 453.59237
    assert account.logins == 2


def test_threads_that_find_the_token_worn_log_in_once(provider: Provider, account: Account) -> None:
    provider.say(FORECAST, account.only(series((five_minutes(), 1000))))
    signal = watttime(provider, timeout_s=20.0)
    signal.at(REGION)
    account.token = "another"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: signal.at(REGION), range(8)))
    assert account.logins == 2


@pytest.mark.parametrize("status", [401, 403])
def test_a_region_that_is_not_allowed_never_logs_in_in_a_loop(
    provider: Provider, account: Account, status: int
) -> None:
    provider.say(FORECAST, Answer({"error": "Invalid scope"}, status))
    signal = watttime(provider)
    for _ in range(5):
        message = failing(lambda: signal.at("PJM"))
        assert "Invalid scope" in message
        assert "CAISO_NORTH alone" in message
    assert account.logins == 1


def test_a_refused_login_is_not_tried_again_at_once(
    provider: Provider, account: Account, clock: Clock
) -> None:
    signal = WattTime(USER, f"{PASSWORD}!", base_url=provider.url)
    assert "check WATTTIME_USERNAME" in failing(lambda: signal.at(REGION))
    assert "login was refused" in failing(lambda: signal.at(REGION))
    assert len(provider.asked("/login")) == 1
    clock.ahead_s = 61
    failing(lambda: signal.at(REGION))
    assert len(provider.asked("/login")) == 2


@pytest.mark.parametrize(
    "answer",
    [
        Answer({"token": 5}),
        Answer({"token": ""}),
        Answer({"token": f"{TOKEN}\r\nx: y"}),
        Answer({"token": f"{TOKEN}é"}),
        Answer({"tokens": TOKEN}),
        Answer({"error": f"{USER} {PASSWORD} {BASIC}"}, 401),
        Answer({"error": f"{USER} {PASSWORD} {BASIC}"}, 500),
        Answer(f"no JSON: {TOKEN}".encode()),
    ],
)
def test_a_login_that_goes_wrong_shows_nothing(provider: Provider, answer: Answer) -> None:
    provider.say("/login", answer)
    assert "login" in failing(lambda: watttime(provider, timeout_s=0.5).at(REGION))


def test_the_past_is_asked_for_in_parts_whose_ends_come_twice(
    provider: Provider, account: Account
) -> None:
    step_s, first_s, last_s = 6 * 3600, hour(-24 * 70), hour(-24 * 2)

    def part(request: Request) -> Answer:
        times = [
            at_s
            for at_s in range(first_s - step_s, last_s + step_s, step_s)
            if request.params["start"] <= iso(at_s) <= request.params["end"]
        ]
        assert len(times) <= 30 * 4 + 1
        return Answer(
            series(*((at_s, at_s % 997) for at_s in times), data_point_period_seconds=step_s)
        )

    provider.say(HISTORICAL, account.only(part))
    points = watttime(provider).forecast(REGION, first_s, last_s)
    assert [point.valid_from_s for point in points] == list(range(first_s, last_s, step_s))
    assert {point.kind for point in points} == {"actual"}
    assert len(provider.asked(HISTORICAL)) == 3


def test_a_past_time_between_two_points_is_the_firsts(provider: Provider, account: Account) -> None:
    def asked_for(request: Request) -> Answer:
        times = [hour(-30) + 300 * i for i in range(-24, 24)]
        wanted = [t for t in times if request.params["start"] <= iso(t) <= request.params["end"]]
        return Answer(series(*((at_s, at_s % 1000) for at_s in wanted)))

    provider.say(HISTORICAL, account.only(asked_for))
    then = watttime(provider).at(REGION, hour(-30) + 299)
    assert (then.valid_from_s, then.valid_until_s) == (hour(-30), hour(-30) + 300)


def test_imputed_data_are_estimated(provider: Provider, account: Account) -> None:
    then_s = hour(-30)
    answer = series((then_s - 300, 1), (then_s, 2), (then_s + 300, 3))
    answer["data"][1]["imputed_data_used"] = True
    answer["data"][0]["imputed_data_used"] = False
    provider.say(HISTORICAL, account.only(answer))
    signal = watttime(provider)
    assert signal.at(REGION, then_s + 10).kind == "estimated"
    assert signal.at(REGION, then_s - 10).kind == "actual"
    assert provider.asked(HISTORICAL)[0].params["include_imputed_marker"] == "true"


def test_a_forecast_asks_for_the_hours_it_needs(provider: Provider, account: Account) -> None:
    points = series(*((five_minutes(i), 100 + i) for i in range(40)))
    provider.say(FORECAST, account.only(points))
    found = watttime(provider).forecast(REGION, time.time(), five_minutes(24))
    assert [point.valid_from_s for point in found] == [five_minutes(i) for i in range(24)]
    assert provider.asked(FORECAST)[0].params["horizon_hours"] == "2"


def test_a_day_from_now_needs_more_than_a_days_forecast(
    provider: Provider, account: Account
) -> None:
    def ahead(request: Request) -> Answer:
        points = range(12 * int(request.params["horizon_hours"]))
        return Answer(series(*((five_minutes(i), 1) for i in points)))

    provider.say(FORECAST, account.only(ahead))
    now_s = time.time()
    points = watttime(provider).forecast(REGION, now_s, now_s + 24 * 3600)
    assert points[-1].valid_until_s >= now_s + 24 * 3600


def test_a_forecast_too_far_ahead_is_not_asked_for(provider: Provider, account: Account) -> None:
    assert "end at 72 h" in failing(
        lambda: watttime(provider).forecast(REGION, time.time(), hour(90))
    )


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (series((hour(), 96.0), units="percentile"), "'percentile', which is no carbon intensity"),
        (series((hour(), 96.0), units=TOKEN + "-1"), r"'\[key\]'"),
        (series((hour(), 96.0), region="PJM"), "'CAISO_NORTH' was asked for and 'PJM'"),
        (series((hour(), 96.0), signal_type="co2_aoer"), "'co2_moer' was asked for"),
        (series((hour(), 96.0), data_point_period_seconds=0), "0 s each"),
        (series((hour(), "96")), "Expected a number"),
        (series((hour(), None)), "Expected a number"),
        (series((hour(), -1)), "between 0 and"),
        (series(), "no value now"),
        (series((hour(5), 96)), "check this machine's clock"),
        ({"data": []}, "missing required field"),
        (Answer({"error": "slow"}, 429, {"retry-after": "300"}), "come back in 300 s"),
        (Answer({"error": f"no {TOKEN}-1"}, 404), r"'no \[key\]': .*/v3/my-access"),
    ],
)
def test_what_goes_wrong_is_told_without_keys(
    provider: Provider, account: Account, answer: object, told: str
) -> None:
    provider.say(FORECAST, answer)
    echoed = TOKEN in repr(answer)
    message = failing(lambda: watttime(provider).at(REGION), echoed=echoed)
    assert re.search(told, message)


def test_name_and_password_come_from_the_environment(
    provider: Provider, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "WATTTIME_USERNAME" in failing(WattTime)
    monkeypatch.setenv("WATTTIME_USERNAME", USER)
    assert "WATTTIME_PASSWORD" in failing(WattTime)
    monkeypatch.setenv("WATTTIME_PASSWORD", PASSWORD)
    provider.say(FORECAST, account.only(series((five_minutes(), 1000))))
    assert WattTime(base_url=provider.url).at(REGION).g_per_kwh == 453.59237


def test_neither_repr_nor_identity_shows_keys(provider: Provider, account: Account) -> None:
    provider.say(FORECAST, account.only(series((five_minutes(), 1000))))
    signal = watttime(provider)
    signal.at(REGION)
    assert not shown(f"{signal!r} {signal.identity} {vars(signal)}")


def test_a_wrong_address_leaves_no_key_from_the_environment_in_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WATTTIME_USERNAME", USER)
    monkeypatch.setenv("WATTTIME_PASSWORD", PASSWORD)
    with pytest.raises(ValueError, match="keys could be read underway") as caught:
        WattTime(base_url="http://example.org")
    frames = traceback.StackSummary.extract(
        traceback.walk_tb(caught.value.__traceback__), capture_locals=True
    )
    assert not shown("".join(f"{frame.locals}" for frame in frames))
