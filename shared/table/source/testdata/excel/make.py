"""Writes the workbooks of this folder.

    pip install openpyxl==3.1.5
    python make.py
"""

import datetime
import pathlib
import zipfile

import openpyxl
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from openpyxl.utils.datetime import CALENDAR_MAC_1904

FOLDER = pathlib.Path(__file__).parent
# The same bytes at each run.
NOW = datetime.datetime(2024, 1, 1)


def save(book, name):
    book.properties.created = book.properties.modified = NOW
    path = FOLDER / name
    book.save(path)
    parts = {}
    with zipfile.ZipFile(path) as made:
        for part in made.namelist():
            parts[part] = made.read(part)
    modified = "dcterms:modified"
    core = parts["docProps/core.xml"].decode()
    start = core.index(">", core.index("<" + modified)) + 1
    parts["docProps/core.xml"] = (core[:start] + "2024-01-01T00:00:00Z" + core[core.index("</" + modified):]).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for part, content in parts.items():
            made.writestr(zipfile.ZipInfo(part, (2024, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)


def values():
    """One row for each kind of value that Excel has."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["text", "whole", "number", "flag", "at", "day", "clock", "share", "note"])
    when = datetime.datetime(2024, 2, 29, 6, 30, 15, 250000)
    sheet.append(["plain", 9007199254740993, 0.1, True, when, datetime.date(2024, 2, 29), datetime.time(6, 30), 0.05, "#N/A"])
    sheet.append([" space ", -7, 1e-7, False, datetime.datetime(1900, 2, 28), datetime.date(1900, 3, 1), datetime.timedelta(hours=26), 0.125, None])
    sheet.append(["two\nlines", 12, -2.5e300, True, datetime.datetime(2024, 1, 1), datetime.date(9999, 12, 31), None, 1, "NA"])
    sheet.append([None, None, None, None, None, None, None, None, "only this"])
    sheet.append([CellRichText("rich ", TextBlock(InlineFont(b=True), "text")), "13", "1.5", "yes", "2024-03-01T00:00:00Z", "2024-03-01", "x", 2, "=1+1"])
    for row in sheet.iter_rows(min_row=2, min_col=8, max_col=8):
        row[0].number_format = "0.0%"
    sheet["I6"].data_type = "s"
    sheet.row_dimensions[3].hidden = True
    sheet.column_dimensions["B"].hidden = True
    save(book, "values.xlsx")


def epoch_1904():
    book = openpyxl.Workbook()
    book.epoch = CALENDAR_MAC_1904
    sheet = book.active
    sheet.append(["day"])
    for day in [datetime.date(1904, 1, 1), datetime.date(1904, 3, 1), datetime.date(2024, 2, 29)]:
        sheet.append([day])
    save(book, "1904.xlsx")


def report():
    """What people send: a title, a header of two rows, merged cells, a second sheet, rows without values."""
    book = openpyxl.Workbook()
    book.active.title = "Read me"
    book.active["A1"] = "The readings are on the next sheet."
    sheet = book.create_sheet("Readings")
    sheet["A1"] = "Plant 7, week 9"
    sheet.merge_cells("A1:C1")
    sheet.append([])
    sheet.append(["station", "celsius", "ok"])
    sheet.append(["", "degrees", ""])
    sheet.append(["north", 21.5, True])
    sheet.append([None, 22, False])
    sheet.merge_cells("A5:A6")
    sheet["A8"] = "south"
    sheet["B8"] = 19
    sheet["C8"] = True
    for row in range(9, 20):
        sheet.cell(row, 1).number_format = "0.00"
    save(book, "report.xlsx")


def column():
    """A table of one column, with a gap."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet["A1"], sheet["A2"], sheet["A5"] = "n", 1, 4
    save(book, "column.xlsx")


def mistakes():
    """Rows that are wrong, each in another way."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["n", "day"])
    sheet.append([1, datetime.date(2024, 1, 1)])
    sheet.append(["many", datetime.date(2024, 1, 2)])
    sheet.append(["=A2+1", datetime.date(2024, 1, 3)])
    sheet.append([4, datetime.date(2024, 1, 4), "beside the table"])
    sheet.append([5, 60])
    sheet["B6"].number_format = "yyyy-mm-dd"
    sheet.append([datetime.date(2024, 1, 5), 45296])
    save(book, "mistakes.xlsx")


def hidden():
    book = openpyxl.Workbook()
    book.active.title = "Lists"
    book.active.append(["n"])
    book.active.append([1])
    book.create_sheet("Data").append(["n"])
    book["Data"].append([2])
    book.active.sheet_state = "hidden"
    book.active = 1
    save(book, "hidden.xlsx")


def streamed():
    """What openpyxl writes row by row: texts are inside the cells."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(["n", "text"])
    for n in range(1000):
        sheet.append([n, f"text {n % 7} <&>"])
    save(book, "streamed.xlsx")


values()
epoch_1904()
report()
column()
mistakes()
hidden()
streamed()
