"""Tables of photos: what a good one gives, and which line of a bad one is named."""

from datetime import date
from pathlib import Path

import pytest

from facerec_oltr.errors import DataError
from facerec_oltr.to_enrol import ToEnrol, read_csv


def table(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "people.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_lines_are_gathered_by_name_in_order(tmp_path):
    path = table(
        tmp_path,
        "\ufeffpath,name,consent,expires\r\na/1.jpg,Zoë,form 7,2027-12-31\r\nb.jpg,bob,,\r\n"
        "/abs/2.jpg,Zoë,form 7,2027-12-31\r\n",
    )
    assert read_csv(path) == [
        ToEnrol("Zoë", (tmp_path / "a/1.jpg", Path("/abs/2.jpg")), "form 7", date(2027, 12, 31)),
        ToEnrol("bob", (tmp_path / "b.jpg",), None, None),
    ]


def test_quoted_names_and_columns_in_any_order(tmp_path):
    path = table(tmp_path, 'name,path\n"Adams, Eve",eve.jpg\n')
    assert read_csv(path) == [ToEnrol("Adams, Eve", (tmp_path / "eve.jpg",), None, None)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("photo,who\na.jpg,ann\n", "found the columns photo, who, expected path and name"),
        ("", "found the columns none"),
        ("path,name\n", "no line below its heading"),
        ("path,name\na.jpg,ann\nb.jpg\n", r"line 3: found .*expected a path and a name"),
        ("path,name\na.jpg,ann,more\n", "line 2"),
        ("path,name\n,ann\n", "line 2"),
        ("path,name,expires\na.jpg,ann,31.12.2027\n", "line 2: expires is '31.12.2027', expected a date"),
        ("path,name,consent\na.jpg,ann,1\nb.jpg,ann,2\n", "line 3: 'ann' has another consent"),
        ('path,name\n"a.jpg,ann\n', "not a table"),
    ],
)
def test_bad_tables_name_the_line(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_csv(table(tmp_path, text))


def test_not_a_table_at_all(tmp_path):
    with pytest.raises(DataError, match="not a table in UTF-8"):
        read_csv(table(tmp_path, "path,name\nä.jpg,ann\n", "latin-1"))
    with pytest.raises(DataError, match="No such file"):
        read_csv(tmp_path / "none.csv")
