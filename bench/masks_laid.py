"""Lays a masked text over the original: which of its characters each tag stands for."""

import re

TAG = re.compile(r"\[([A-Z][A-Z0-9_]+)\]")


class Unlike(Exception):
    """What arrived is not the text with tags for some of it."""


def laid_over(text, arrived):
    """(start, end, type) of each tag, and whether no other places are possible. Of several, those
    that agree most with the labels: they cover as much of values, and as little else, as they
    may."""
    source, inside = text.text, text.inside()
    # What stands in brackets in the text itself is not a tag.
    known = {match.group() for match in TAG.finditer(source)}
    between, kinds, at = [], [], 0
    for tag in TAG.finditer(arrived):
        if tag.group() not in known:
            between.append(arrived[at : tag.start()])
            kinds.append(tag.group(1))
            at = tag.end()
    between.append(arrived[at:])
    if not source.startswith(between[0]):
        raise Unlike("it begins otherwise")
    price = [0]
    for mark in inside:
        price.append(price[-1] + (-1 if mark else 1))
    # Ends of what is laid so far, with the least price, the number of ways, and the end before.
    steps = [{len(between[0]): (0, 1, None)}]
    for number, literal in enumerate(between[1:], 1):
        steps.append(laid(source, steps[-1], literal, number == len(kinds), price))
    if len(source) not in steps[-1]:
        raise Unlike("it is not the text with tags in it")
    return walked(steps, between, kinds), steps[-1][len(source)][1] == 1


def laid(source, before, literal, is_last, price):
    """The ends after one more tag and the characters that follow it."""
    found = {}
    for end, (paid, ways, _) in before.items():
        start = len(source) - len(literal) if is_last else end + 1
        # A tag stands for something.
        while end < start <= len(source) - len(literal):
            start = source.find(literal, start)
            if start < 0:
                break
            now = paid + price[start] - price[end]
            least, all_ways, back = found.get(start + len(literal), (now + 1, 0, None))
            if now < least:
                least, back = now, end
            found[start + len(literal)] = (least, all_ways + ways, back)
            start += 1
    return found


def walked(steps, between, kinds):
    runs, end = [], max(steps[-1])
    for number in range(len(kinds), 0, -1):
        start = steps[number][end][2]
        runs.append((start, end - len(between[number]), kinds[number - 1]))
        end = start
    return runs[::-1]
