"""What the model says, to somebody who may see it all and to somebody who may not."""

import json

from narration import expect

# Made up: the card is the one that is printed in manuals, and the key opens nothing.
VALUES = {
    "[EMAIL_ADDRESS]": "ann.lee@example.org",
    "[CREDIT_CARD]": "4111 1111 1111 1111",
    "[AWS_ACCESS_KEY_ID]": "AKIAJ5Q7WXZ2LMN4PTRS",
}
TEXT = "Write to {}, pay with {}, key {}."
SAID = TEXT.format(*VALUES.values())
MASKED = TEXT.format(*VALUES)


def beside(scene):
    say, seen = scene.narrator.say, scene.narrator.seen
    say("The model is made to say an address, a card's number and a key. The connection's mask lets "
        "who is on call see them; Olga is:")
    olga, clear = streamed(scene, "olga@example.com", "on-call")
    seen(" | ".join(clear))
    expect("".join(clear) == SAID, "what the model was made to say", "".join(clear))
    say("Ada is not. The same question, the same stream, event by event; no byte of a value leaves, "
        "and no event waits for another:")
    ada, masked = streamed(scene, "ada@example.com", "engineers")
    seen(" | ".join(masked))
    expect("".join(masked) == MASKED, "the three values masked", "".join(masked))
    counted = scene.logged([ada])[ada]["masked"]
    expect(counted == len(VALUES), f"{len(VALUES)} masked values in the access log", counted)
    say(f"The access log counts {counted} masked values, and holds none of them.")
    return {"clear_pieces": len(clear), "masked_pieces": len(masked), "counted": counted}


def streamed(scene, user, group):
    """The session of a streamed answer, and its pieces."""
    response = scene.client(scene.token(user, group)).chat.completions.with_raw_response.create(
        model=scene.model,
        messages=[{"role": "user", "content": "Whom do I pay, and how?"}],
        stream=True,
        max_tokens=200,
        # llama.cpp's grammar leaves a model no other words; a simulated one is just told.
        extra_body={
            "grammar": f"root ::= {json.dumps(SAID)}",
            "simulate": {"text": SAID},
        },
    )
    session = scene.saw(response.headers)
    contents = (chunk.choices[0].delta.content for chunk in response.parse() if chunk.choices)
    return session, [content for content in contents if content]
