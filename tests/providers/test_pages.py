"""Reading pages: what stops in the middle goes on from there, and never past a change."""

from __future__ import annotations

import asyncio

import pytest

from asyncsecrets.errors import AccessDeniedError, MalformedResponseError, RateLimitedError
from asyncsecrets.providers.pages import Pages


class Book:
    """Pages of one number each; `fails` are the pages (by place) that fail when they are asked for, and how."""

    def __init__(self, length):
        self.length = length
        self.asked = []
        self.fails = {}
        self.outdated = False
        self.now = 1000.0
        self.pages = Pages(lambda: self.now)

    async def fetch(self, token):
        place = int(token or 0)
        self.asked.append(place)
        await asyncio.sleep(0)
        if place in self.fails:
            raise self.fails.pop(place)
        if place and self.outdated:
            self.outdated = False
            return None
        return [place], str(place + 1) if place + 1 < self.length else ""

    async def read(self, prefix=""):
        def endless(text):
            return MalformedResponseError(text, provider="s")

        return await self.pages.read(prefix, self.fetch, endless=endless, narrow=True)


def throttled():
    return RateLimitedError("slow down", provider="s")


async def test_goes_on_where_it_stopped():
    """After a failure that passes, the pages that were read are not read again; after that, all is read anew."""
    book = Book(5)
    book.fails = {3: throttled()}
    with pytest.raises(RateLimitedError, match=r"after 3 pages: narrow it with a prefix.*goes on from there"):
        await book.read()
    assert await book.read() == [0, 1, 2, 3, 4]
    assert book.asked == [0, 1, 2, 3, 3, 4]
    assert await book.read() == [0, 1, 2, 3, 4]
    assert len(book.asked) == 11


async def test_time_is_up():
    """A caller who gives up, as at the end of a deadline, keeps what was read for the next one."""
    book = Book(50)
    reading = asyncio.create_task(book.read())
    while len(book.asked) < 20:
        await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait({reading})
    assert reading.cancelled()
    assert await book.read() == list(range(50))
    assert len(book.asked) == 51


@pytest.mark.parametrize("why", ["late", "changed", "changed meanwhile", "another question", "denied"])
async def test_does_not_go_on(why):
    """Not half a minute later, not past a change, not for another prefix, and not after a failure that stays."""
    book = Book(3)
    book.fails = {2: AccessDeniedError("no", provider="s") if why == "denied" else throttled()}
    reading = asyncio.create_task(book.read())
    await asyncio.sleep(0)
    if why == "changed meanwhile":
        book.pages.forget()
    with pytest.raises((AccessDeniedError, RateLimitedError)):
        await reading
    book.now += 31 if why == "late" else 29
    if why == "changed":
        book.pages.forget()
    book.asked.clear()
    assert await book.read("other" if why == "another question" else "") == [0, 1, 2]
    assert book.asked == [0, 1, 2]


async def test_two_readings_at_once():
    """Each has its own pages; one that stopped is taken up by one of them."""
    book = Book(4)
    book.fails = {2: throttled()}
    with pytest.raises(RateLimitedError):
        await book.read()
    assert await asyncio.gather(book.read(), book.read()) == [[0, 1, 2, 3]] * 2
    assert len(book.asked) == 3 + 2 + 4


async def test_a_token_that_is_outdated():
    """Where the manager has forgotten the place, all is read anew."""
    book = Book(3)
    book.fails = {2: throttled()}
    with pytest.raises(RateLimitedError):
        await book.read()
    book.outdated = True
    assert await book.read() == [0, 1, 2]
    assert book.asked == [0, 1, 2, 2, 0, 1, 2]


async def test_a_book_without_end():
    """Tokens that are outdated for ever, or pages without end, are an error at last."""
    book = Book(10**9)
    with pytest.raises(MalformedResponseError, match="10,000 pages"):
        await book.read()
