"""The prompts of the SmolLM2 golden values, all written for this purpose."""

LONG = """The harbour master kept two ledgers. In the first he wrote what every ship declared: the tonnage, the port of \
origin, the cargo, the number of crew. In the second he wrote what he had seen with his own eyes, and the two seldom \
agreed. A brig that declared wool sat too low in the water; a schooner that declared wine had no casks on her deck and \
sailors who could not say where they had loaded. For thirty years nobody asked to see the second ledger. He kept it in \
the drawer under the tide tables, and every evening, when the lamps along the mole were lit, he brought it up to date \
in a small and even hand. Then, one autumn, a young inspector came from the capital with a letter that bore three seals. \
He was polite, he accepted a cup of coffee, he looked at the first ledger for an hour and closed it. "These are very \
good figures," he said. "They are so good that I do not believe them. Show me the other book." The harbour master \
looked at the window, where the evening ferry was turning, and then he"""

PROMPTS = {
    "capital": "The capital of France is",
    "story": "Once upon a time, in a small village by the sea, there lived a",
    "science": "Water boils at a lower temperature at high altitude because",
    "list": "Here are three reasons to learn a second language:\n1.",
    "chinese": "中国的首都是北京。北京是一座",
    "chinese-poem": "床前明月光,",
    "code": "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n",
    "swift": "struct Point {\n    var x: Double\n    var y: Double\n\n    func distance(to other: Point) -> Double {\n",
    "json": "{\"name\": \"Ada\", \"born\": 1815, \"languages\": [\"English\", \"French\"], \"address\": {\"city\":",
    "math": "Question: A train travels 60 km in 45 minutes. What is its speed in km/h?\nAnswer:",
    "digits": "1, 2, 4, 8, 16, 32, 64, 128,",
    "emoji": "Dear team 🎉,\n\nI'm happy to tell you that we've",
    "whitespace": "Name:\tAlice\nAge:\t  31\n\n\nName:\tBob\nAge:",
    "long": LONG,
}

# The prompts whose logits are stored at every position.
LOGIT_PROMPTS = ("science", "swift")

CHAT = [{"role": "user", "content": "What is the tallest mountain in the world, and how high is it?"}]
