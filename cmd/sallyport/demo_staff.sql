-- The demo's staff. Names and numbers are made up; the account numbers have valid check digits.
CREATE TABLE employees (
  id INT PRIMARY KEY,
  name VARCHAR(80) NOT NULL,
  email VARCHAR(120) NOT NULL UNIQUE,
  phone VARCHAR(40) NOT NULL,
  iban CHAR(22) NOT NULL,
  team VARCHAR(40) NOT NULL,
  note TEXT
);
CREATE TABLE absences (
  id INT PRIMARY KEY,
  employee INT NOT NULL,
  reason VARCHAR(40) NOT NULL,
  begins DATE NOT NULL,
  FOREIGN KEY (employee) REFERENCES employees (id)
);

INSERT INTO employees
WITH RECURSIVE numbers AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM numbers WHERE i < 60),
people AS (
  SELECT i,
    ELT(1 + i % 10, 'Kofi', 'Lena', 'Marco', 'Nadia', 'Omar', 'Paula', 'Quinn', 'Rosa', 'Sami', 'Tara') AS given,
    ELT(1 + i % 11, 'Lopez', 'Meyer', 'Novak', 'Okafor', 'Petit', 'Quist', 'Rossi', 'Sato', 'Tanaka', 'Umar', 'Vogel') AS family,
    CONCAT('37040044', LPAD(i * 7919 % 10000000000, 10, '0')) AS account
  FROM numbers
),
paid AS (
  SELECT people.*, CONCAT('DE', LPAD(98 - MOD(CAST(CONCAT(account, '131400') AS DECIMAL(30)), 97), 2, '0'), account) AS number FROM people
)
SELECT i, CONCAT(given, ' ', family), LOWER(CONCAT(given, '.', family, i, '@example.com')), CONCAT('+1 212 555 ', LPAD(200 + i, 4, '0')), number,
  ELT(1 + i % 4, 'support', 'sales', 'engineering', 'finance'),
  IF(i % 10 = 0, CONCAT('salary goes to ', number, ' from May on'), NULL)
FROM paid;

INSERT INTO absences
WITH RECURSIVE numbers AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM numbers WHERE i < 120)
SELECT i, 1 + i * 31 % 60, ELT(1 + i % 3, 'holiday', 'training', 'leave'), DATE '2026-01-05' + INTERVAL i * 2 DAY
FROM numbers;
