-- As before, but cheaper: misses are counted, and runs are compared only if there may be several.
CREATE OR REPLACE FUNCTION rolled_up_points(factory_id_ bigint, starts_ bigint[])
RETURNS SETOF rollups LANGUAGE sql STABLE AS $$
    SELECT factory_id_, 900, start, points::integer, actual::bigint, goal::bigint, missed::integer,
           length(misses) - length(ltrim(misses, 'm')), length(misses) - length(rtrim(misses, 'm')),
           CASE WHEN missed < 2 THEN missed ELSE (SELECT max(length(run)) FROM string_to_table(misses, ' ') AS run) END
           ::integer,
           min_actual, max_actual, min_goal, max_goal
    FROM unnest(starts_) AS start CROSS JOIN LATERAL (
        SELECT count(*) AS points, sum(actual) AS actual, sum(goal) AS goal,
               count(*) FILTER (WHERE actual < goal) AS missed,
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

-- Stores the roll-ups of the quarter hours that begin at `starts_`, and of their hours, days and weeks; those without
-- points are deleted. The caller must lock the factory. Updating the rows instead would take longer, and so would JIT
-- compilation, which Postgres would choose for the generic plans once there are a few million points, and scans of the
-- whole table, which it would choose if outdated statistics said that the table is almost empty.
CREATE OR REPLACE FUNCTION roll_up_points(factory_id_ bigint, starts_ bigint[])
RETURNS void LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET jit = off SET enable_seqscan = off AS $$
DECLARE
    part_width integer := NULL;
    width_ integer;
BEGIN
    FOREACH width_ IN ARRAY ARRAY[900, 3600, 86400, 604800] LOOP
        starts_ := ARRAY(SELECT DISTINCT s - (s + 259200) % width_ FROM unnest(starts_) AS s);
        DELETE FROM rollups WHERE factory_id = factory_id_ AND width = width_ AND start = ANY (starts_);
        IF part_width IS NULL THEN
            INSERT INTO rollups SELECT * FROM rolled_up_points(factory_id_, starts_);
        ELSE
            INSERT INTO rollups SELECT * FROM merged_rollups(factory_id_, part_width, width_, starts_);
        END IF;
        part_width := width_;
    END LOOP;
END
$$;

-- The lock makes concurrent writers of one factory wait, so that each sees the points of those before it, and the timer
-- as well, which builds the roll-ups from `next_time` on. Those of a deleted factory are deleted with its points.
CREATE OR REPLACE FUNCTION roll_up_changed_points() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    factory bigint;
    starts bigint[];
BEGIN
    FOR factory, starts IN
        SELECT factory_id, array_agg(DISTINCT time - time % 900) FROM changed GROUP BY factory_id ORDER BY factory_id
    LOOP
        PERFORM FROM factories WHERE id = factory FOR NO KEY UPDATE;
        IF FOUND THEN
            starts := ARRAY(
                SELECT start FROM unnest(starts) AS start
                WHERE start < ALL (SELECT next_time FROM incomplete_rollups WHERE factory_id = factory));
        END IF;
        PERFORM roll_up_points(factory, starts);
    END LOOP;
    RETURN NULL;
END
$$;
