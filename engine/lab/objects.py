"""What the small base can draw: each object with its words, its class and its true colour, and the held-out
ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The class word of an object, as a class prompt would say it."""

    ANIMAL = "animal"
    FACE = "face"
    FOOD = "food"
    VEHICLE = "vehicle"
    THING = "thing"


@dataclass(frozen=True)
class Object:
    """One drawable object.

    `code` is its Unicode code point in hex (the file name in the Fluent package), `noto` its name in the Noto
    icon set. `colour` is an adjective that is true of both hands' drawings, or "" where none is.
    """

    name: str
    plural: str
    kind: Kind
    code: str
    noto: str
    colour: str = ""
    held_out: bool = False

    @property
    def key(self) -> str:
        """The sprite's file stem."""
        return self.name.replace(" ", "_")


def _of(kind: Kind, rows: str, held_out: bool = False) -> list[Object]:
    """One object a line: name, plural, code point, Noto name, colour (may be absent), separated by commas."""
    objects = []
    for row in rows.strip().splitlines():
        name, plural, code, noto, *colour = (part.strip() for part in row.split(","))
        objects.append(Object(name, plural, kind, code, noto, colour[0] if colour else "", held_out))
    return objects


TRAINED: tuple[Object, ...] = (
    *_of(
        Kind.ANIMAL,
        """
        dog, dogs, 1f436, dog-face
        cat, cats, 1f431, cat-face
        panda, pandas, 1f43c, panda
        frog, frogs, 1f438, frog, green
        pig, pigs, 1f437, pig-face
        lion, lions, 1f981, lion
        rabbit, rabbits, 1f430, rabbit-face
        chick, chicks, 1f425, front-facing-baby-chick, yellow
        penguin, penguins, 1f427, penguin
        owl, owls, 1f989, owl
        fish, fish, 1f420, tropical-fish
        octopus, octopuses, 1f419, octopus
        crab, crabs, 1f980, crab
        ladybug, ladybugs, 1f41e, lady-beetle, red
        butterfly, butterflies, 1f98b, butterfly
        turtle, turtles, 1f422, turtle, green
        whale, whales, 1f433, spouting-whale, blue
        """,
    ),
    *_of(
        Kind.FACE,
        """
        smiley, smileys, 1f600, grinning-face, yellow
        cool face, cool faces, 1f60e, smiling-face-with-sunglasses, yellow
        clown, clowns, 1f921, clown-face
        skull, skulls, 1f480, skull
        pumpkin, pumpkins, 1f383, jack-o-lantern, orange
        """,
    ),
    *_of(
        Kind.FOOD,
        """
        apple, apples, 1f34e, red-apple, red
        banana, bananas, 1f34c, banana, yellow
        strawberry, strawberries, 1f353, strawberry, red
        cherry, cherries, 1f352, cherries, red
        watermelon, watermelons, 1f349, watermelon
        pizza, pizzas, 1f355, pizza
        burger, burgers, 1f354, hamburger
        donut, donuts, 1f369, doughnut
        carrot, carrots, 1f955, carrot, orange
        mushroom, mushrooms, 1f344, mushroom
        lemon, lemons, 1f34b, lemon, yellow
        """,
    ),
    *_of(
        Kind.VEHICLE,
        """
        car, cars, 1f697, automobile, red
        bus, buses, 1f68c, bus
        rocket, rockets, 1f680, rocket
        tractor, tractors, 1f69c, tractor
        """,
    ),
    *_of(
        Kind.THING,
        """
        balloon, balloons, 1f388, balloon, red
        umbrella, umbrellas, 2602, umbrella
        guitar, guitars, 1f3b8, guitar
        football, footballs, 26bd, soccer-ball
        star, stars, 2b50, star, yellow
        heart, hearts, 2764, red-heart, red
        house, houses, 1f3e0, house
        cactus, cacti, 1f335, cactus, green
        sunflower, sunflowers, 1f33b, sunflower, yellow
        gift, gifts, 1f381, wrapped-gift
        crown, crowns, 1f451, crown, golden
        """,
    ),
)

HELD_OUT: tuple[Object, ...] = (
    *_of(
        Kind.ANIMAL,
        """
        fox, foxes, 1f98a, fox, orange
        unicorn, unicorns, 1f984, unicorn
        koala, koalas, 1f428, koala
        """,
        held_out=True,
    ),
    *_of(Kind.FACE, "robot, robots, 1f916, robot", held_out=True),
    *_of(Kind.FOOD, "pineapple, pineapples, 1f34d, pineapple", held_out=True),
    *_of(Kind.VEHICLE, "sailboat, sailboats, 26f5, sailboat", held_out=True),
    *_of(
        Kind.THING,
        """
        monster, monsters, 1f47e, alien-monster, purple
        teddy bear, teddy bears, 1f9f8, teddy-bear, brown
        """,
        held_out=True,
    ),
)

OBJECTS: dict[str, Object] = {thing.name: thing for thing in (*TRAINED, *HELD_OUT)}
