-- Sums, misses and extremes of the points in each quarter hour, hour, day and week of UTC. A read of a long series
-- combines these rows, and reads points only where a bucket begins within a quarter hour (docs/decisions/0018).
-- Roll-ups begin at whole multiples of their width since 1969-12-29, a Monday: 259200 seconds before 1970.
CREATE TABLE rollups (
    factory_id bigint NOT NULL,
    width integer NOT NULL,
    start bigint NOT NULL,
    points integer NOT NULL,
    actual bigint NOT NULL,
    goal bigint NOT NULL,
    missed integer NOT NULL,
    -- The misses before the first point that meets its goal, those after the last one, and the longest run.
    leading_misses integer NOT NULL,
    trailing_misses integer NOT NULL,
    longest_miss integer NOT NULL,
    -- value * 2^20 + the seconds from the start to the point; for a maximum, + 2^20 - 1 - these seconds. So the earliest of
    -- several equal values is both the minimum and the maximum.
    min_actual bigint NOT NULL,
    max_actual bigint NOT NULL,
    min_goal bigint NOT NULL,
    max_goal bigint NOT NULL,
    CONSTRAINT rollups_pkey PRIMARY KEY (factory_id, width, start),
    CONSTRAINT rollups_width CHECK (width IN (900, 3600, 86400, 604800))
) WITH (fillfactor = 90);

-- Factories whose roll-ups are complete only before `next_time`: they are read from the points until a timer has built
-- the rest, from the first week on.
CREATE TABLE incomplete_rollups (
    factory_id bigint CONSTRAINT incomplete_rollups_pkey PRIMARY KEY,
    next_time bigint NOT NULL DEFAULT -259200
);

-- The roll-ups of the quarter hours that begin at `starts_`, as they follow from the points.
CREATE FUNCTION rolled_up_points(factory_id_ bigint, starts_ bigint[]) RETURNS SETOF rollups LANGUAGE sql STABLE AS $$
    SELECT factory_id_, 900, start, points::integer, actual::bigint, goal::bigint,
           length(replace(misses, ' ', '')), length(misses) - length(ltrim(misses, 'm')),
           length(misses) - length(rtrim(misses, 'm')),
           (SELECT max(length(run)) FROM string_to_table(misses, ' ') AS run),
           min_actual, max_actual, min_goal, max_goal
    FROM unnest(starts_) AS start CROSS JOIN LATERAL (
        SELECT count(*) AS points, sum(actual) AS actual, sum(goal) AS goal,
               string_agg(CASE WHEN actual < goal THEN 'm' ELSE ' ' END, '') AS misses,
               min(actual * 1048576 + time - start) AS min_actual,
               max(actual * 1048576 + 1048575 - time + start) AS max_actual,
               min(goal * 1048576 + time - start) AS min_goal,
               max(goal * 1048576 + 1048575 - time + start) AS max_goal
        FROM (
            SELECT time, actual, goal FROM points
            WHERE factory_id = factory_id_ AND time >= start AND time < start + 900 ORDER BY time
        ) AS ordered
    ) AS part
    WHERE points > 0
$$;

-- The roll-ups that begin at `starts_`, as they follow from those of `part_width_`. A run of misses that spans several
-- parts has as many points as follow the last point that met its goal.
CREATE FUNCTION merged_rollups(factory_id_ bigint, part_width_ integer, width_ integer, starts_ bigint[])
RETURNS SETOF rollups LANGUAGE sql STABLE AS $$
    SELECT factory_id_, width_, whole, sum(points)::integer, sum(actual)::bigint, sum(goal)::bigint,
           sum(missed)::integer,
           coalesce(min(preceding + leading_misses) FILTER (WHERE missed < points), sum(points))::integer,
           (sum(points) - coalesce(max(last_met), 0))::integer,
           max(greatest(longest_miss, preceding + leading_misses - last_met_before))::integer,
           min(min_actual + seconds), max(max_actual - seconds), min(min_goal + seconds), max(max_goal - seconds)
    FROM (
        SELECT *, coalesce(max(last_met) OVER (PARTITION BY whole ORDER BY start
                                               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS last_met_before
        FROM (
            SELECT *, CASE WHEN missed < points THEN preceding + points - trailing_misses END AS last_met
            FROM (
                SELECT whole, part.*, start - whole AS seconds,
                       sum(points) OVER (PARTITION BY whole ORDER BY start ROWS UNBOUNDED PRECEDING) - points
                       AS preceding
                FROM unnest(starts_) AS whole CROSS JOIN LATERAL (
                    SELECT * FROM rollups
                    WHERE factory_id = factory_id_ AND width = part_width_ AND start >= whole AND start < whole + width_
                    OFFSET 0
                ) AS part
            ) AS numbered
        ) AS ended
    ) AS joined
    GROUP BY whole
$$;

-- Stores the roll-ups of the quarter hours that begin at `starts_`, and of their hours, days and weeks. The lock makes
-- concurrent writers of one factory wait, so that each sees the points of those before it.
CREATE FUNCTION roll_up_points(factory_id_ bigint, starts_ bigint[])
RETURNS void LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    part_width integer := NULL;
    width_ integer;
    stored_count bigint;
BEGIN
    PERFORM FROM factories WHERE id = factory_id_ FOR NO KEY UPDATE;
    FOREACH width_ IN ARRAY ARRAY[900, 3600, 86400, 604800] LOOP
        starts_ := ARRAY(SELECT DISTINCT s - (s + 259200) % width_ FROM unnest(starts_) AS s);
        INSERT INTO rollups AS existing
        SELECT * FROM rolled_up_points(factory_id_, starts_) WHERE part_width IS NULL
        UNION ALL SELECT * FROM merged_rollups(factory_id_, part_width, width_, starts_) WHERE part_width IS NOT NULL
        ON CONFLICT ON CONSTRAINT rollups_pkey DO UPDATE
        SET points = excluded.points, actual = excluded.actual, goal = excluded.goal, missed = excluded.missed,
            leading_misses = excluded.leading_misses, trailing_misses = excluded.trailing_misses,
            longest_miss = excluded.longest_miss, min_actual = excluded.min_actual, max_actual = excluded.max_actual,
            min_goal = excluded.min_goal, max_goal = excluded.max_goal;
        GET DIAGNOSTICS stored_count = ROW_COUNT;
        IF stored_count < cardinality(starts_) THEN
            -- Points were deleted.
            DELETE FROM rollups r
            WHERE factory_id = factory_id_ AND width = width_ AND start = ANY (starts_) AND NOT EXISTS (
                SELECT FROM points p
                WHERE p.factory_id = factory_id_ AND p.time >= r.start AND p.time < r.start + width_);
        END IF;
        part_width := width_;
    END LOOP;
END
$$;

-- A trigger, so that no writer can forget the roll-ups, not even a process of the previous version.
CREATE FUNCTION roll_up_changed_points() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    factory bigint;
    starts bigint[];
BEGIN
    FOR factory, starts IN
        SELECT factory_id, array_agg(DISTINCT time - time % 900) FROM changed GROUP BY factory_id ORDER BY factory_id
    LOOP
        PERFORM roll_up_points(factory, starts);
    END LOOP;
    RETURN NULL;
END
$$;

CREATE TRIGGER points_inserted AFTER INSERT ON points
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION roll_up_changed_points();
CREATE TRIGGER points_updated AFTER UPDATE ON points
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION roll_up_changed_points();
CREATE TRIGGER points_deleted AFTER DELETE ON points
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION roll_up_changed_points();

-- Creating the triggers waited for all writers, so every point without a roll-up belongs to one of these factories.
INSERT INTO incomplete_rollups (factory_id)
SELECT id FROM factories UNION SELECT factory_id FROM loads WHERE factory_id IS NOT NULL;
