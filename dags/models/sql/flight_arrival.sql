-- One row per flight that arrived. Cancelled and diverted flights have no label and are left out.
-- Every feature is known an hour before the hour of departure. What is known only later (departure and
-- arrival times, air time) must not be selected.
SELECT
    f.flight_id,
    f.scheduled_departure,
    f.arrival_delay,
    f.carrier,
    f.origin,
    f.destination,
    f.distance_miles,
    f.local_minute_of_day,
    f.local_weekday,
    f.scheduled_arrival,
    p.year_built,
    p.seats,
    w.humidity_percent,
    w.wind_speed_mph,
    w.precipitation_inches,
    w.visibility_miles,
    -- the share of departures that were late at this airport three and four hours before
    1.0 * h3.late_departures / h3.departures AS late_share_3_hours_before,
    1.0 * h4.late_departures / h4.departures AS late_share_4_hours_before
FROM flights AS f
LEFT JOIN planes AS p ON p.tail_number = f.tail_number
LEFT JOIN weather AS w ON w.origin = f.origin AND w.hour_utc = datetime(f.hour_utc, '-1 hour')
LEFT JOIN airport_hours AS h3 ON h3.origin = f.origin AND h3.hour_utc = datetime(f.hour_utc, '-3 hours')
LEFT JOIN airport_hours AS h4 ON h4.origin = f.origin AND h4.hour_utc = datetime(f.hour_utc, '-4 hours')
WHERE f.scheduled_departure >= datetime(:start)
    AND f.scheduled_departure < datetime(:end)
    AND f.arrival_delay IS NOT NULL
