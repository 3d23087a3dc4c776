-- Run by the postgres image when it creates its data folder: one role per database, each without a way into the others.
-- psql reads the passwords from the mounted files; they appear in no argument and no variable.
\set airflow_password `cat /run/secrets/airflow_database_password`
\set mlflow_password `cat /run/secrets/mlflow_database_password`
\set windhover_password `cat /run/secrets/windhover_database_password`

CREATE ROLE airflow LOGIN PASSWORD :'airflow_password';
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow_password';
CREATE ROLE windhover LOGIN PASSWORD :'windhover_password';

CREATE DATABASE airflow OWNER airflow;
CREATE DATABASE mlflow OWNER mlflow;
CREATE DATABASE windhover OWNER windhover;

REVOKE CONNECT ON DATABASE airflow, mlflow, windhover FROM PUBLIC;
