-- late flights
SELECT *, 'it''s :late' AS note
FROM flights
WHERE time_hour >= :start::timestamp
  AND time_hour < :ende
