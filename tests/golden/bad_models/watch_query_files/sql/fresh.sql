SELECT *
FROM flights
WHERE time_hour >= :begin AND time_hour < :end
