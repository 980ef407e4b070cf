"""Small templates, one construct each, for chat_templates.py. All run with the conversation "small"."""

EXPRESSIONS = r"""
1
1.0
-3
- 3 + 5
+2
1_000
0x1F
1e3
1.5e-7
1e16
1e15
123456789.123
0.1 + 0.2
2 ** 10
2 ** -1
2 ** 3 ** 2
-2 ** 2
7 // 2
-7 // 2
7 // -2
7 % 3
-7 % 3
7 % -3
7.5 // 2
-7.5 % 2
7 / 2
6 / 2
1 / 0
1 % 0
'a' + 'b'
'a' 'b'
'a' ~ 1 ~ none ~ true ~ 1.5 ~ [1]
'ab' * 3
3 * 'ab'
'ab' * -1
[1, 2] * 2
[1] + [2]
(1,) + (2,)
'a' + 1
1 + true
true + true
none
true
false
True and False
not true
not not 1
1 and 2
0 or 'x'
'' or none
0 and missing.x
1 < 2 < 3
1 < 3 < 2
3 > 2 >= 2 == 2 != 1
1 == 1.0
1 == true
'1' == 1
'a' < 'b'
'a' < 1
[1, 2] < [1, 3]
[1, 2] == [1, 2]
(1, 2) == [1, 2]
{'a': 1} == {'a': 1}
none == none
missing == other
missing == none
1 in [1, 2]
3 not in [1, 2]
'b' in 'abc'
'' in 'abc'
1 in 'abc'
'a' in {'a': 1}
'a' in missing
not 1 in [1]
missing
missing.x
missing['x']
missing + 1
missing ~ 'x'
missing()
nothing
nothing.x
text.nope
text.nope.x
[1, 2, 3]
[]
()
(1,)
(1, 2)
1, 2
{'a': 1, 'b': [1, 'x', none, true]}
{}
{'a': 1}['a']
{'a': 1}.a
{1: 'x'}[1]
{1: 'x', 1.0: 'y', true: 'z'}
{'items': 5}['items']
{'items': 5}.items()|list
{'a': {'b': 2}}.a.b
[1, 2, 3][0]
[1, 2, 3][-1]
[1, 2, 3][5]
[1, 2, 3].1
[[1, 2]].0.1
[1, 2, 3][1:]
[1, 2, 3][:-1]
[1, 2, 3][::-1]
[1, 2, 3, 4, 5][1:4:2]
[1, 2, 3, 4, 5][-2:]
[1, 2, 3][10:]
[1, 2, 3][::-2]
[1, 2, 3][5:0:-1]
[1, 2, 3][::0]
'hello'[1:3]
'hello'[::-1]
'hello'[-1]
'hello'[9]
'héllo wörld 你好🌍'[6:]
'你好🌍'|length
'e\u0301'|length
'\r\n'|length
'é' == 'e\u0301'
'x' if true
'x' if false
'x' if false else 'y'
'a' if false else 'b' if false else 'c'
(1 if true else 2) + 1
"it's"
'say "hi"'
["it's", 'say "hi"', 'both \' and "', 'tab\t', 'nul\x00', '\x7f', 'é', '\u200b', '🌍']
'a\nb'
'\d'
'\x41\u00e9\101'
'a\\b'
text
number
float
flag
big
words
person
person|tojson
person|tojson(indent=2)
words|tojson(indent=4)
[]|tojson(indent=2)
{}|tojson(indent=2)
{'a': []}|tojson(indent=2)
person|tojson(sort_keys=true)
person|tojson(separators=(',', ':'))
'é"\n\t\\/<>&\x01\x7f'|tojson
'é🌍'|tojson(ensure_ascii=true)
1.0|tojson
1e20|tojson
none|tojson
(1, 2)|tojson
{1: 2, true: 3, none: 4}|tojson
missing|tojson
'  x '|trim
'xxaxx'|trim('x')
text|upper
text|lower
text|title
text|capitalize
"they're bill's FRIENDS (foo)-bar <baz>"|title
'straße ǆ'|upper
'ß'|capitalize
words|length
missing|length
5|length
'a-b-c'|replace('-', '+')
'a-b-c'|replace('-', '+', 1)
'abc'|replace('', '.')
12321|replace(2, 'x')
words|join(', ')
[1, none, 2.5]|join('|')
people|join(', ', attribute='name')
'abc'|join('-')
missing|default('d')
''|default('d')
''|default('d', true)
none|default('d')
none|d('d', boolean=true)
person.nope|default('d')
words|first
words|last
[]|first
[]|last is undefined
'abc'|first
'abc'|list
person|list
(1, 2)|list
missing|list
5|list
5|string ~ 'x'
'42'|int
'42.9'|int
'x'|int
'x'|int(7)
'0x1A'|int(base=16)
'1010'|int(0, 2)
3.99|int
-3.99|int
true|int
'1.5'|float
'x'|float
' 1e3 '|float
3|float
person|items|list
missing|items|list
person|dictsort
{'b': 1, 'A': 2, 'c': 0}|dictsort
{'b': 1, 'A': 2, 'c': 0}|dictsort(true)
{'b': 1, 'A': 2, 'c': 0}|dictsort(by='value')
{'b': 1, 'A': 2, 'c': 0}|dictsort(reverse=true)
people|map(attribute='name')|list
people|map(attribute='nope', default='?')|list
people|map(attribute='tags.0')|list
words|map('upper')|list
words|map('replace', 'a', 'b')|list
[1, 2, 3, 4]|select('odd')|list
[1, 2, 3, 4]|select('divisibleby', 2)|list
[0, 1, '', 'x']|select|list
[1, 2, 3, 4]|reject('gt', 2)|list
[0, 1]|reject|list
people|selectattr('age')|map(attribute='name')|list
people|selectattr('age', 'ge', 30)|map(attribute='name')|list
people|rejectattr('name', 'equalto', 'Bo')|map(attribute='name')|list
people|selectattr('name', 'in', ['Ada', 'Bo'])|list|length
none|selectattr('type', 'equalto', 'x')|list|length
0|select('odd')|list
none|map('upper')|list
missing|map(attribute='x')|list
none|rejectattr('x')|list
5|select|list
none|select('nope')|list
[1, 2]|select('odd')|length
'yes' if [2]|select('odd') else 'no'
'yes' if [2]|select('odd')|list else 'no'
[3, 1, 2]|sort
[3, 1, 2]|sort(reverse=true)
['b', 'A', 'c', 'a']|sort
['b', 'A', 'c', 'a']|sort(case_sensitive=true)
people|sort(attribute='age')|map(attribute='name')|list
[1, 'a']|sort
['a', 'A', 'b', 'a']|unique|list
['a', 'A', 'b', 'a']|unique(true)|list
[1, 2, 3]|reverse|list
'abc'|reverse
[1, 2, 3]|sum
[1.5, 2]|sum
people|sum(attribute='age')
people|sum('age', 10)
[3, 1, 2]|min
[3, 1, 2]|max
['b', 'A']|min
[]|max
people|max(attribute='age')
-5|abs
-5.5|abs
42.55|round
42.55|round(1)
42.55|round(1, 'floor')
42.55|round(1, 'ceil')
2.5|round
3.5|round|int
42|round
1234|round(-2)
2.675|round(2)
'a\nb\n\nc'|indent
'a\nb\n\nc'|indent(2, true)
'a\nb\n\nc'|indent(2, blank=true)
'a\nb'|indent('> ')
''|indent
'<a href="x">\'&</a>'|escape
'<b>'|e
'<b>'|safe
'one two  three-four'|wordcount
[1, 2, 3, 4, 5]|batch(2)|list
[1, 2, 3, 4, 5]|batch(2, 0)|list
[1, 2, 3, 4, 5]|slice(3)|list
[1, 2, 3, 4, 5]|slice(3, 'x')|list
'ab'|center(7) ~ '|'
'%s is %d'|format('x', 3)
'%(a)s'|format(a=1)
person|attr('name')
people|groupby('age')|list
-5|abs ~ 'x'
-number|abs
'a'|upper|lower ~ 'B'
missing is defined
missing is undefined
person.name is defined
person.nope is defined
person.nope is not defined
none is none
missing is none
'a' is string
1 is string
1 is number
true is number
1.0 is number
1 is integer
true is integer
1.0 is integer
1.0 is float
true is boolean
1 is boolean
{} is mapping
[] is mapping
[] is sequence
'x' is sequence
{} is sequence
(1,) is sequence
1 is sequence
missing is sequence
'x' is iterable
1 is iterable
missing is iterable
[1]|map('upper') is iterable
[1]|map('upper') is sequence
true is true
1 is true
false is false
0 is false
1 is eq 1
1 is equalto(1)
1 is ne 2
1 is lt 2
2 is gt 1
2 is ge 2
1 is le(0)
'a' is in 'abc'
1 is in [1]
2 is even
2 is odd
3 is odd
'x' is even
9 is divisibleby 3
9 is divisibleby(2)
range is callable
1 is callable
text.upper is callable
'abc' is lower
'ABC' is upper
'aBc' is lower
'1' is upper
none is sameas none
1 is sameas true
1 is eq 1 and 2 is eq 2
1 is eq 1 or missing.x
not 1 is odd
'upper' is filter
'nope' is filter
'odd' is test
1 is nope
1|nope
'  a b '.strip() ~ '|'
'xxaxx'.strip('x')
'xxaxx'.lstrip('x')
'xxaxx'.rstrip('x')
'\n a \n'.rstrip() ~ '|'
'a,b,c'.split(',')
'a,b,c'.split(',', 1)
'a,b,c'.rsplit(',', 1)
' a  b c '.split()
' a  b c '.split(none, 1)
' a  b c '.rsplit(none, 1)
'a</think>b</think>c'.split('</think>')[-1]
'abc'.split('')
'a\nb\r\nc\n'.splitlines()
'a\nb'.splitlines(true)
'abc'.startswith('ab')
'abc'.startswith(('x', 'a'))
'abc'.endswith('bc')
'abc'.endswith('')
'aXbX'.replace('X', 'y')
'aXbX'.replace('X', 'y', 1)
'abc'.upper() ~ 'DEF'.lower()
'hello wORLD'.title()
'hello wORLD'.capitalize()
'abcabc'.find('c')
'abcabc'.rfind('c')
'abc'.find('z')
'你好abc'.find('a')
'abc'.index('z')
'aaaa'.count('aa')
'abc'.count('')
'-'.join(['a', 'b'])
'-'.join('abc')
'-'.join([1])
'{} {}'.format('a', 1)
'{1} {0} {x}'.format('a', 'b', x='c')
'{:.2f}|{:>5}|{:<5}|{:^5}|{:05d}|{:,}'.format(3.14159, 'a', 'b', 'c', 42, 1234567)
'{{}}'.format()
'{'.format()
'%s %r %d %5.1f %x %%' % ('a', 'b', 3, 2.25, 255)
'%05d|%-5s|%+d' % (42, 'a', 7)
'%s' % [1, 2]
'%s' % 'x'
'%s %s' % ('a',)
'%s' % (1, 2)
'123'.isdigit()
'12a'.isdigit()
''.isdigit()
'abc'.isalpha()
'abc1'.isalnum()
'ABC'.isupper()
'abc'.islower()
' '.isspace()
'a:b:c'.partition(':')
'a:b:c'.rpartition(':')
'abc'.partition(':')
'abc'.removeprefix('a')
'abc'.removesuffix('bc')
'7'.zfill(3)
'-7'.zfill(4)
'a'.ljust(3) ~ '|' ~ 'a'.rjust(3)
'a'.center(4, '*')
'aB'.swapcase()
person.items()|list
person.keys()|list
person.values()|list
person.get('name')
person.get('nope')
person.get('nope', 'd')
person.items is callable
words.index('beta')
words.count('beta')
words.append('x')
person.update({'a': 1})
person.pop('name')
words.append is defined
text.__class__
'a'.split(none)
' a  b '.split(none, 0)
' '.split(none, 1)
[1]|first(2)
range(5)|list
range(2, 5)|list
range(5, 0, -2)|list
range(0)|list
range(1000000000)|list
dict(a=1, b=2)
dict({'a': 1}, b=2)
dict([('a', 1)])
namespace(a=1).a
namespace().a
namespace({'a': 2}).a
strftime_now('%Y-%m-%d')
strftime_now('%d %b %Y')
strftime_now('%H:%M:%S %A %B %j')
raise_exception('no ' ~ text)
9223372036854775807
-9223372036854775807 - 1
text is string and text|length > 3
words[0] ~ words[1][1:]
words[number - 1]
people[0].name
people[0]['tags'][-1]
people[-1].tags
messages[-1].role
messages|length
messages[1:]|length
messages[::-1]|map(attribute='role')|list
messages|selectattr('role', 'eq', 'user')|list|length
(messages|last).content
messages|map(attribute='content')|join('|')
[1, 2,]
{'a': 1,}
"""

STATEMENTS = [
    "a\n", "a\n\n", "\n", "", "a\r\nb\r\n", "plain {text} %} }}",
    "{{ 1 }}\n{{ 2 }}\n", "{# gone #}x", "{# gone #}\nx", "a {#- gone -#} b", "  {# gone #}\nx", "a{#-#}b",
    "{% if true %}\n  yes\n{% endif %}\nend", "  {% if true %}\n  yes\n  {% endif %}\nend",
    "a\n  {%- if true %}\n  yes\n  {%- endif %}\nend", "a  {%- if true -%}  yes  {%- endif -%}  end",
    "a {{- ' b ' -}} c", "a\n  {{ 'x' }}\n  b", "  {%+ if true %}x{% endif %}", "{% if true +%}\nx{% endif %}",
    "x  {% if true %}y{% endif %}", "{% if true %}{% endif %}\n\n x", "{{ 'a' }}  {% if true %}b{% endif %}",
    "{% set x = 1 %}\n\t {% set y = 2 %}\n{{ x + y }}", "{%- set x = 1 -%}\n\n  {{ x }}",
    "{%if true%}x{%endif%}", "{{1}}{{-2}}{{ -2 }}", "{{ {'a': {'b': 1}} }}", "{{ {'a': {'b': 1}}['a']['b']}}",
    "{{ '}}' }}{{ \"%}\" }}", "{% raw %}{{ x }}{% y %}{% endraw %}", "{% raw -%}\n  {{ x }}\n  {%- endraw %}\nz",
    "a\n  {% raw %}\n  b\n  {% endraw %}\nc",
    "{% if false %}a{% elif true %}b{% else %}c{% endif %}", "{% if false %}a{% elif 0 %}b{% else %}c{% endif %}",
    "{% if missing %}a{% else %}b{% endif %}", "{% if words and not nothing %}a{% endif %}",
    "{% for x in words %}{{ x }},{% endfor %}", "{% for x in [] %}a{% else %}none{% endfor %}",
    "{% for x in words %}{{ x }}{% else %}none{% endfor %}", "{% for x in missing %}a{% else %}none{% endfor %}",
    "{% for x in missing.y %}a{% endfor %}", "{% for x in nothing %}a{% endfor %}", "{% for x in 5 %}a{% endfor %}",
    "{% for c in 'héy' %}{{ c }}.{% endfor %}", "{% for k in person %}{{ k }} {% endfor %}",
    "{% for k, v in person.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in person|items %}{{ k }}={{ v }};{% endfor %}",
    "{% for a, b in [(1, 2), [3, 4]] %}{{ a + b }} {% endfor %}", "{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3))] %}{{ a + b + c }}{% endfor %}",
    "{% for x in words %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}"
    "{{ loop.first }}{{ loop.last }}{{ loop.length }} {% endfor %}",
    "{% for x in words %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}",
    "{% for x in words %}{{ loop.previtem is defined }} {{ loop.nextitem is defined }};{% endfor %}",
    "{% for x in words %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }} {% endfor %}",
    "{% for x in words if x != 'beta' %}{{ loop.index }}{{ x }}/{{ loop.length }} {% endfor %}",
    "{% for x in [1, 2, 3, 4] if x is even %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in [1, 2] if x > 5 %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in [1, 2] %}{% for y in [3, 4] %}{{ loop.index }}{{ x * y }} {% endfor %}{{ loop.index }};{% endfor %}",
    "{% for x in [1, 2, 3, 4] %}{% if x == 3 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in [1, 2, 3, 4] %}{% if x == 3 %}{% continue %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in [1, 2] %}{% break %}{% else %}none{% endfor %}",
    "{% for x in 1, 2 %}{{ x }}{% endfor %}", "{% for x in range(3) %}{{ x }}{% endfor %}",
    "{% for x in words|reverse %}{{ x }} {{ loop.length }} {% endfor %}",
    "{% for x in words[::-1] %}{{ x }}{{ loop.last }} {% endfor %}",
    "{% for x in (words if flag else []) %}{{ x }}{% endfor %}",
    "{% set x = 1 %}{% for y in [1, 2] %}{% set x = x + y %}{{ x }}{% endfor %}{{ x }}",
    "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% for y in [1, 2] %}[{{ x }}]{% set x = y %}{{ x }}{% endfor %}",
    "{% set ns = namespace(x=1) %}{% for y in [1, 2] %}{% set ns.x = ns.x + y %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace() %}{% set ns.a = 1 %}{{ ns.a }}{{ ns.b is defined }}", "{% set person.name = 1 %}",
    "{% set x, y = 1, 2 %}{{ x }}{{ y }}", "{% set x = 1, 2 %}{{ x }}", "{% set x %}a{{ 1 }}b{% endset %}{{ x }}",
    "{% set x | upper %}a{{ 1 }}b{% endset %}{{ x }}", "{% set x %}a{% endset %}{{ x ~ x|length }}",
    "{% set messages = messages[1:] %}{{ messages|length }}", "{% set true = 1 %}", "{% set 1 = 1 %}",
    "{% set x = 'a' if flag else 'b' %}{{ x }}", "{% set loop = 5 %}{{ loop }}",
    "{% macro m(a, b=2) %}{{ a }}-{{ b }};{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=4, a=5) }}{{ m() }}",
    "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}", "{% macro m() %}x{% endmacro %}{{ m(1) }}",
    "{% macro m() %}x{% endmacro %}{{ m(z=1) }}", "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, a=2) }}",
    "{% set g = 'G' %}{% macro m() %}{{ g }}{% set g = 'L' %}{{ g }}{% endmacro %}{{ m() }}{{ g }}",
    "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
    "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}",
    "{% macro m(x) %}[{{ caller() }}{{ x }}]{% endmacro %}{% call m(1) %}body{% endcall %}",
    "{% macro m(l) %}{% for x in l %}{{ caller(x) }}{% endfor %}{% endmacro %}{% call(i) m([1, 2]) %}<{{ i }}>{% endcall %}",
    "{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}", "{% macro m(a, b=1, c) %}{% endmacro %}",
    "{% macro m(x) %}{{ x }}{% endmacro %}{{ m('a') | upper }}{{ m('a') + 'b' }}", "{{ m() }}{% macro m() %}x{% endmacro %}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(*[1]) }}{{ m(**{'a': 2}) }}", "{{ range(*[1, 3])|list }}",
    "{% for x in [1] %}{% macro m() %}{{ x }}{{ loop.index }}{% endmacro %}{{ m() }}{% endfor %}",
    "{% filter upper %}abc {{ text }}{% endfilter %}", "{% filter replace('a', 'b')|upper %}aXa{% endfilter %}",
    "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }}", "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}",
    "{% generation %}x{{ text }}{% endgeneration %}", "{% for m in messages %}{% generation %}{{ m.content }}{{ loop.index }}{% endgeneration %}{% endfor %}",
    "{% generation %}{% set x = 1 %}{% endgeneration %}{{ x is defined }}",
    "{% set j = joiner(', ') %}{% for x in words %}{{ j() }}{{ x }}{% endfor %}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}",
    "{% if true %}", "{% endif %}", "{% if true %}{% endfor %}", "{{ 1", "{{ 1 2 }}", "{{ }}", "{% %}", "{{ 'a }}", "{# a",
    "{% raw %}x", "{% for x in [1, 2] %}{% continue %}{% else %}none{% endfor %}",
    "{% for y in [1, 2] %}{% for x in [] %}{% else %}{% break %}{% endfor %}{{ y }}{% endfor %}",
    "{% if flag %}x{% else %}{{ words|nope }}{{ 1 is nope }}{% endif %}", "{% if flag %}{{ words|nope }}{% endif %}",
    "{{ 'x' if flag else words|nope }}", "{% nope %}", "{% for x %}{% endfor %}", "{% break %}", "{{ 1 +* 2 }}", "{{ (1 }}", "{{ 1) }}", "{{ [1 }}",
    "{{ a.  }}", "{{ 1 if }}", "{{ 'a'|upper('x') }}", "{{ f(a=1, 2) }}", "{{ text|trim.x }}", "{{ (text|trim).x }}",
    "{{ 'abc'|list[0] }}", "{{ a is }}", "{{ a! }}", "{{ $x }}", "{{ 1; 2 }}", "{{ not }}", "{% set %}", "{% if %}x{% endif %}",
    "{% set a = [1, 2] %}{% set a = a + [3] %}{{ a }}", "{{ [text, person.name]|join('\n') }}",
    "{%- for m in messages -%}\n  {{- m.role }}: {{ m.content }}\n{% endfor -%}\nend",
    "{% for m in messages %}{% if loop.index0 % 2 == 0 %}{{ m.role }}{% endif %}{% endfor %}",
    "{% if messages[0]['role'] == 'system' %}s{% else %}n{% endif %}",
    "{{ messages[0].content.split('o')[0] }}", "{{ messages[0].get('name', 'anon') }}",
    "{{- text -}}   \n  x", "x\n\n{%- if true %}\n\n  y\n\n{%- endif %}\n\nz", "{{ 'a' -}}\n\nb", "{% if true -%}\n x \n{%- endif %}y",
    "\ufeffx", "\u00a0{%- if true -%}\u00a0x{% endif %}", "{{ text }}\n", "{{ text }}\n\n", "{{\n  text\n}}", "{%\n if true\n%}x{% endif %}",
    "{% set x = {\n  'a': 1,\n  'b': [1,\n 2]\n} %}{{ x }}", "line\n{{ 1 // 0 }}",
]

SMALL = ["{{ " + line + " }}" for line in EXPRESSIONS.strip().split("\n")] + STATEMENTS
