"""Records that were stored before they had positions."""

FIRST_NEW_MIGRATION = "0004"


def test_records_of_each_sequence_are_numbered_in_their_order(old_database):
    for sequence, number in (("a", 1), ("b", 1), ("a", 2), ("a", 3), ("b", 2)):
        old_database.run(
            """
            INSERT INTO issued_numbers (sequence, period, first_ticket, first, last, username, request_id)
            VALUES (%(sequence)s, '', %(number)s - 1, %(number)s, %(number)s, 'ann', 'r')
            """,
            sequence=sequence,
            number=number,
        )
    old_database.upgrade()
    rows = old_database.rows("SELECT sequence, position, first FROM issued_numbers ORDER BY sequence, position")
    assert rows == [("a", 1, 1), ("a", 2, 2), ("a", 3, 3), ("b", 1, 1), ("b", 2, 2)]
