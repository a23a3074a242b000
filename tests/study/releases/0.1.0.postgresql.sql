CREATE SCHEMA exp_22222222222242228222222222222222;
CREATE TYPE exp_22222222222242228222222222222222.studydirection AS ENUM (
    'NOT_SET',
    'MINIMIZE',
    'MAXIMIZE'
);
CREATE TYPE exp_22222222222242228222222222222222.trialintermediatevaluetype AS ENUM (
    'FINITE',
    'INF_POS',
    'INF_NEG',
    'NAN'
);
CREATE TYPE exp_22222222222242228222222222222222.trialstate AS ENUM (
    'RUNNING',
    'COMPLETE',
    'PRUNED',
    'FAIL',
    'WAITING'
);
CREATE TYPE exp_22222222222242228222222222222222.trialvaluetype AS ENUM (
    'FINITE',
    'INF_POS',
    'INF_NEG'
);
CREATE TABLE exp_22222222222242228222222222222222.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE exp_22222222222242228222222222222222.studies (
    study_id integer NOT NULL,
    study_name character varying(512) NOT NULL
);
CREATE SEQUENCE exp_22222222222242228222222222222222.studies_study_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE exp_22222222222242228222222222222222.studies_study_id_seq OWNED BY exp_22222222222242228222222222222222.studies.study_id;
CREATE TABLE exp_22222222222242228222222222222222.study_directions (
    study_direction_id integer NOT NULL,
    direction exp_22222222222242228222222222222222.studydirection NOT NULL,
    study_id integer NOT NULL,
    objective integer NOT NULL
);
CREATE SEQUENCE exp_22222222222242228222222222222222.study_directions_study_direction_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE exp_22222222222242228222222222222222.study_directions_study_direction_id_seq OWNED BY exp_22222222222242228222222222222222.study_directions.study_direction_id;
CREATE TABLE exp_22222222222242228222222222222222.study_system_attributes (
    study_system_attribute_id integer NOT NULL,
    study_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE exp_22222222222242228222222222222222.study_system_attributes_study_system_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE exp_22222222222242228222222222222222.study_system_attributes_study_system_attribute_id_seq OWNED BY exp_22222222222242228222222222222222.study_system_attributes.study_system_attribute_id;
CREATE TABLE exp_22222222222242228222222222222222.study_user_attributes (
    study_user_attribute_id integer NOT NULL,
    study_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE exp_22222222222242228222222222222222.study_user_attributes_study_user_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE exp_22222222222242228222222222222222.study_user_attributes_study_user_attribute_id_seq OWNED BY exp_22222222222242228222222222222222.study_user_attributes.study_user_attribute_id;
CREATE TABLE exp_22222222222242228222222222222222.trial_heartbeats (
    trial_heartbeat_id integer NOT NULL,
    trial_id integer NOT NULL,
    heartbeat timestamp without time zone NOT NULL
);
CREATE SEQUENCE exp_22222222222242228222222222222222.trial_heartbeats_trial_heartbeat_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE exp_22222222222242228222222222222222.trial_heartbeats_trial_heartbeat_id_seq OWNED BY exp_22222222222242228222222222222222.trial_heartbeats.trial_heartbeat_id;
CREATE TABLE exp_22222222222242228222222222222222.trial_intermediate_values (
    trial_intermediate_value_id integer NOT NULL,
    trial_id integer NOT NULL,
    step integer NOT NULL,
    intermediate_value double precision,
    intermediate_value_type exp_22222222222242228222222222222222.trialintermediatevaluetype NOT NULL
);
CREATE SEQUENCE exp_22222222222242228222222222222222.trial_intermediate_values_trial_intermediate_value_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE exp_22222222222242228222222222222222.trial_intermediate_values_trial_intermediate_value_id_seq OWNED BY exp_22222222222242228222222222222222.trial_intermediate_values.trial_intermediate_value_id;
CREATE TABLE exp_22222222222242228222222222222222.trial_params (
    param_id integer NOT NULL,
    trial_id integer,
    param_name character varying(512),
    param_value double precision,
    distribution_json text
);
CREATE SEQUENCE exp_22222222222242228222222222222222.trial_params_param_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE exp_22222222222242228222222222222222.trial_params_param_id_seq OWNED BY exp_22222222222242228222222222222222.trial_params.param_id;
CREATE TABLE exp_22222222222242228222222222222222.trial_system_attributes (
    trial_system_attribute_id integer NOT NULL,
    trial_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE exp_22222222222242228222222222222222.trial_system_attributes_trial_system_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE exp_22222222222242228222222222222222.trial_system_attributes_trial_system_attribute_id_seq OWNED BY exp_22222222222242228222222222222222.trial_system_attributes.trial_system_attribute_id;
CREATE TABLE exp_22222222222242228222222222222222.trial_user_attributes (
    trial_user_attribute_id integer NOT NULL,
    trial_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE exp_22222222222242228222222222222222.trial_user_attributes_trial_user_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE exp_22222222222242228222222222222222.trial_user_attributes_trial_user_attribute_id_seq OWNED BY exp_22222222222242228222222222222222.trial_user_attributes.trial_user_attribute_id;
CREATE TABLE exp_22222222222242228222222222222222.trial_values (
    trial_value_id integer NOT NULL,
    trial_id integer NOT NULL,
    objective integer NOT NULL,
    value double precision,
    value_type exp_22222222222242228222222222222222.trialvaluetype NOT NULL
);
CREATE SEQUENCE exp_22222222222242228222222222222222.trial_values_trial_value_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE exp_22222222222242228222222222222222.trial_values_trial_value_id_seq OWNED BY exp_22222222222242228222222222222222.trial_values.trial_value_id;
CREATE TABLE exp_22222222222242228222222222222222.trials (
    trial_id integer NOT NULL,
    number integer,
    study_id integer,
    state exp_22222222222242228222222222222222.trialstate NOT NULL,
    datetime_start timestamp without time zone,
    datetime_complete timestamp without time zone
);
CREATE SEQUENCE exp_22222222222242228222222222222222.trials_trial_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE exp_22222222222242228222222222222222.trials_trial_id_seq OWNED BY exp_22222222222242228222222222222222.trials.trial_id;
CREATE TABLE exp_22222222222242228222222222222222.version_info (
    version_info_id integer NOT NULL,
    schema_version integer,
    library_version character varying(256),
    CONSTRAINT version_info_version_info_id_check CHECK ((version_info_id = 1))
);
ALTER TABLE ONLY exp_22222222222242228222222222222222.studies ALTER COLUMN study_id SET DEFAULT nextval('exp_22222222222242228222222222222222.studies_study_id_seq'::regclass);
ALTER TABLE ONLY exp_22222222222242228222222222222222.study_directions ALTER COLUMN study_direction_id SET DEFAULT nextval('exp_22222222222242228222222222222222.study_directions_study_direction_id_seq'::regclass);
ALTER TABLE ONLY exp_22222222222242228222222222222222.study_system_attributes ALTER COLUMN study_system_attribute_id SET DEFAULT nextval('exp_22222222222242228222222222222222.study_system_attributes_study_system_attribute_id_seq'::regclass);
ALTER TABLE ONLY exp_22222222222242228222222222222222.study_user_attributes ALTER COLUMN study_user_attribute_id SET DEFAULT nextval('exp_22222222222242228222222222222222.study_user_attributes_study_user_attribute_id_seq'::regclass);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trial_heartbeats ALTER COLUMN trial_heartbeat_id SET DEFAULT nextval('exp_22222222222242228222222222222222.trial_heartbeats_trial_heartbeat_id_seq'::regclass);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trial_intermediate_values ALTER COLUMN trial_intermediate_value_id SET DEFAULT nextval('exp_22222222222242228222222222222222.trial_intermediate_values_trial_intermediate_value_id_seq'::regclass);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trial_params ALTER COLUMN param_id SET DEFAULT nextval('exp_22222222222242228222222222222222.trial_params_param_id_seq'::regclass);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trial_system_attributes ALTER COLUMN trial_system_attribute_id SET DEFAULT nextval('exp_22222222222242228222222222222222.trial_system_attributes_trial_system_attribute_id_seq'::regclass);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trial_user_attributes ALTER COLUMN trial_user_attribute_id SET DEFAULT nextval('exp_22222222222242228222222222222222.trial_user_attributes_trial_user_attribute_id_seq'::regclass);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trial_values ALTER COLUMN trial_value_id SET DEFAULT nextval('exp_22222222222242228222222222222222.trial_values_trial_value_id_seq'::regclass);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trials ALTER COLUMN trial_id SET DEFAULT nextval('exp_22222222222242228222222222222222.trials_trial_id_seq'::regclass);
INSERT INTO exp_22222222222242228222222222222222.alembic_version VALUES ('v3.2.0.a');
INSERT INTO exp_22222222222242228222222222222222.studies VALUES (1, 'stored');
INSERT INTO exp_22222222222242228222222222222222.study_directions VALUES (1, 'MAXIMIZE', 1, 0);
INSERT INTO exp_22222222222242228222222222222222.study_directions VALUES (2, 'MINIMIZE', 1, 1);
INSERT INTO exp_22222222222242228222222222222222.study_user_attributes VALUES (1, 1, 'space', '{"objectives": [{"metric": "exact", "direction": "Maximize"}, {"metric": "parameter_count", "direction": "Minimize"}], "parameters": [{"name": "learning_rate", "type": "Float", "low": 0.01, "high": 0.8, "log": true, "step": null, "choices": null, "when": null}, {"name": "n_layers", "type": "Int", "low": 1, "high": 6, "log": false, "step": null, "choices": null, "when": null}, {"name": "layer_selection", "type": "Categorical", "low": null, "high": null, "log": false, "step": null, "choices": ["First", "EvenlySpaced"], "when": null}, {"name": "dropout", "type": "Float", "low": 0, "high": 0.4, "log": false, "step": 0.1, "choices": null, "when": {"parameter": "n_layers", "values": null, "minimum": 4, "maximum": null}}]}');
INSERT INTO exp_22222222222242228222222222222222.study_user_attributes VALUES (2, 1, 'started', '1000.0');
INSERT INTO exp_22222222222242228222222222222222.study_user_attributes VALUES (3, 1, 'preparation', '{"key": "key", "teacher": {"exact": 90.0, "HasAns_exact": 88.0, "NoAns_exact": 92.0}, "sources": {"teacher": {"family": "bert", "vocab_size": 1000, "max_position_embeddings": 128, "hidden_size": 96, "intermediate_size": 384, "n_layers": 6, "n_heads": 6, "type_vocab_size": 2}}, "seconds": 30.0, "gpus": 1.0}');
INSERT INTO exp_22222222222242228222222222222222.study_user_attributes VALUES (4, 1, 'warm:earlier', '[{"number": 0, "parameters": {"learning_rate": 0.1, "n_layers": 6, "layer_selection": "First", "dropout": 0.3}, "state": "Completed", "expected": {}, "metrics": {"exact": 55.0, "HasAns_exact": 50.0, "NoAns_exact": 60.0, "parameter_count": 779906.0}, "ended": 200.0}, {"number": 1, "parameters": {"learning_rate": 0.02713659126825075, "n_layers": 3, "layer_selection": "EvenlySpaced"}, "state": "Completed", "expected": {}, "metrics": {"exact": 61.0, "HasAns_exact": 56.0, "NoAns_exact": 66.0, "parameter_count": 444386.0}, "ended": 201.0}, {"number": 2, "parameters": {"learning_rate": 0.24271705101374358, "n_layers": 1, "layer_selection": "EvenlySpaced"}, "state": "Completed", "expected": {}, "metrics": {"exact": 58.0, "HasAns_exact": 53.0, "NoAns_exact": 63.0, "parameter_count": 220706.0}, "ended": 202.0}, {"number": 3, "parameters": {"learning_rate": 0.08115733735895435, "n_layers": 5, "layer_selection": "First", "dropout": 0.1}, "state": "Infeasible", "expected": {}, "metrics": {"parameter_count": 668066.0}, "ended": 210.0}]');
INSERT INTO exp_22222222222242228222222222222222.study_user_attributes VALUES (5, 1, 'collected', '[5]');
INSERT INTO exp_22222222222242228222222222222222.trial_params VALUES (1, 1, 'learning_rate', 0.1, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 0.8, "log": true}}');
INSERT INTO exp_22222222222242228222222222222222.trial_params VALUES (2, 1, 'n_layers', 6, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 6}}');
INSERT INTO exp_22222222222242228222222222222222.trial_params VALUES (3, 1, 'layer_selection', 0, '{"name": "CategoricalDistribution", "attributes": {"choices": ["First", "EvenlySpaced"]}}');
INSERT INTO exp_22222222222242228222222222222222.trial_params VALUES (4, 1, 'dropout', 0.3, '{"name": "FloatDistribution", "attributes": {"step": 0.1, "low": 0.0, "high": 0.4, "log": false}}');
INSERT INTO exp_22222222222242228222222222222222.trial_params VALUES (5, 2, 'learning_rate', 0.02713659126825075, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 0.8, "log": true}}');
INSERT INTO exp_22222222222242228222222222222222.trial_params VALUES (6, 2, 'n_layers', 3, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 6}}');
INSERT INTO exp_22222222222242228222222222222222.trial_params VALUES (7, 2, 'layer_selection', 1, '{"name": "CategoricalDistribution", "attributes": {"choices": ["First", "EvenlySpaced"]}}');
INSERT INTO exp_22222222222242228222222222222222.trial_params VALUES (8, 3, 'learning_rate', 0.24271705101374358, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 0.8, "log": true}}');
INSERT INTO exp_22222222222242228222222222222222.trial_params VALUES (9, 3, 'n_layers', 1, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 6}}');
INSERT INTO exp_22222222222242228222222222222222.trial_params VALUES (10, 3, 'layer_selection', 1, '{"name": "CategoricalDistribution", "attributes": {"choices": ["First", "EvenlySpaced"]}}');
INSERT INTO exp_22222222222242228222222222222222.trial_params VALUES (11, 4, 'learning_rate', 0.08115733735895435, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 0.8, "log": true}}');
INSERT INTO exp_22222222222242228222222222222222.trial_params VALUES (12, 4, 'n_layers', 5, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 6}}');
INSERT INTO exp_22222222222242228222222222222222.trial_params VALUES (13, 4, 'layer_selection', 0, '{"name": "CategoricalDistribution", "attributes": {"choices": ["First", "EvenlySpaced"]}}');
INSERT INTO exp_22222222222242228222222222222222.trial_params VALUES (14, 4, 'dropout', 0.1, '{"name": "FloatDistribution", "attributes": {"step": 0.1, "low": 0.0, "high": 0.4, "log": false}}');
INSERT INTO exp_22222222222242228222222222222222.trial_params VALUES (15, 5, 'learning_rate', 0.7258932928300202, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 0.8, "log": true}}');
INSERT INTO exp_22222222222242228222222222222222.trial_params VALUES (16, 5, 'n_layers', 4, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 6}}');
INSERT INTO exp_22222222222242228222222222222222.trial_params VALUES (17, 5, 'layer_selection', 1, '{"name": "CategoricalDistribution", "attributes": {"choices": ["First", "EvenlySpaced"]}}');
INSERT INTO exp_22222222222242228222222222222222.trial_params VALUES (18, 5, 'dropout', 0.2, '{"name": "FloatDistribution", "attributes": {"step": 0.1, "low": 0.0, "high": 0.4, "log": false}}');
INSERT INTO exp_22222222222242228222222222222222.trial_params VALUES (19, 6, 'learning_rate', 0.015691665619004938, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 0.8, "log": true}}');
INSERT INTO exp_22222222222242228222222222222222.trial_params VALUES (20, 6, 'n_layers', 2, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 6}}');
INSERT INTO exp_22222222222242228222222222222222.trial_params VALUES (21, 6, 'layer_selection', 0, '{"name": "CategoricalDistribution", "attributes": {"choices": ["First", "EvenlySpaced"]}}');
INSERT INTO exp_22222222222242228222222222222222.trial_params VALUES (22, 7, 'learning_rate', 0.24271705101374358, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 0.8, "log": true}}');
INSERT INTO exp_22222222222242228222222222222222.trial_params VALUES (23, 7, 'n_layers', 1, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 6}}');
INSERT INTO exp_22222222222242228222222222222222.trial_params VALUES (24, 7, 'layer_selection', 1, '{"name": "CategoricalDistribution", "attributes": {"choices": ["First", "EvenlySpaced"]}}');
INSERT INTO exp_22222222222242228222222222222222.trial_system_attributes VALUES (1, 1, 'constraints:HasAns_exact_minimum', '-37.0');
INSERT INTO exp_22222222222242228222222222222222.trial_system_attributes VALUES (2, 1, 'constraints:NoAns_exact_minimum', '-57.0');
INSERT INTO exp_22222222222242228222222222222222.trial_system_attributes VALUES (3, 1, 'constraints:ended_early', '0.0');
INSERT INTO exp_22222222222242228222222222222222.trial_system_attributes VALUES (4, 1, 'constraints:exact_minimum', '-12.0');
INSERT INTO exp_22222222222242228222222222222222.trial_system_attributes VALUES (5, 2, 'constraints:HasAns_exact_minimum', '20.0');
INSERT INTO exp_22222222222242228222222222222222.trial_system_attributes VALUES (6, 2, 'constraints:NoAns_exact_minimum', '10.0');
INSERT INTO exp_22222222222242228222222222222222.trial_system_attributes VALUES (7, 2, 'constraints:ended_early', '1.0');
INSERT INTO exp_22222222222242228222222222222222.trial_system_attributes VALUES (8, 2, 'constraints:exact_minimum', '50.0');
INSERT INTO exp_22222222222242228222222222222222.trial_system_attributes VALUES (9, 3, 'constraints:HasAns_exact_minimum', '20.0');
INSERT INTO exp_22222222222242228222222222222222.trial_system_attributes VALUES (10, 3, 'constraints:NoAns_exact_minimum', '10.0');
INSERT INTO exp_22222222222242228222222222222222.trial_system_attributes VALUES (11, 3, 'constraints:ended_early', '1.0');
INSERT INTO exp_22222222222242228222222222222222.trial_system_attributes VALUES (12, 3, 'constraints:exact_minimum', '19.0');
INSERT INTO exp_22222222222242228222222222222222.trial_system_attributes VALUES (13, 6, 'constraints:HasAns_exact_minimum', '-32.0');
INSERT INTO exp_22222222222242228222222222222222.trial_system_attributes VALUES (14, 6, 'constraints:NoAns_exact_minimum', '-52.0');
INSERT INTO exp_22222222222242228222222222222222.trial_system_attributes VALUES (15, 6, 'constraints:ended_early', '0.0');
INSERT INTO exp_22222222222242228222222222222222.trial_system_attributes VALUES (16, 6, 'constraints:exact_minimum', '-7.0');
INSERT INTO exp_22222222222242228222222222222222.trial_user_attributes VALUES (1, 1, 'suggestion', '{"parameters": {"temperature": 2, "epochs": 2, "n_layers": 6, "layer_selection": "First", "dropout": 0.3, "learning_rate": 0.1}, "baseline": "deep", "started": 1010.0, "parameter_count": 779906}');
INSERT INTO exp_22222222222242228222222222222222.trial_user_attributes VALUES (2, 2, 'suggestion', '{"parameters": {"temperature": 2, "epochs": 2, "learning_rate": 0.02713659126825075, "n_layers": 3, "layer_selection": "EvenlySpaced"}, "baseline": null, "started": 1010.0, "parameter_count": 444386}');
INSERT INTO exp_22222222222242228222222222222222.trial_user_attributes VALUES (3, 3, 'suggestion', '{"parameters": {"temperature": 2, "epochs": 2, "learning_rate": 0.24271705101374358, "n_layers": 1, "layer_selection": "EvenlySpaced"}, "baseline": null, "started": 1010.0, "parameter_count": 220706}');
INSERT INTO exp_22222222222242228222222222222222.trial_user_attributes VALUES (4, 4, 'suggestion', '{"parameters": {"temperature": 2, "epochs": 2, "learning_rate": 0.08115733735895435, "n_layers": 5, "layer_selection": "First", "dropout": 0.1}, "baseline": null, "started": 1010.0, "parameter_count": 668066}');
INSERT INTO exp_22222222222242228222222222222222.trial_user_attributes VALUES (5, 5, 'suggestion', '{"parameters": {"temperature": 2, "epochs": 2, "learning_rate": 0.7258932928300202, "n_layers": 4, "layer_selection": "EvenlySpaced", "dropout": 0.2}, "baseline": null, "started": 1010.0, "parameter_count": 556226}');
INSERT INTO exp_22222222222242228222222222222222.trial_user_attributes VALUES (6, 6, 'suggestion', '{"parameters": {"temperature": 2, "epochs": 2, "learning_rate": 0.015691665619004938, "n_layers": 2, "layer_selection": "First"}, "baseline": null, "started": 1010.0, "parameter_count": 332546}');
INSERT INTO exp_22222222222242228222222222222222.trial_user_attributes VALUES (9, 3, 'curve', '[{"step": 10, "metrics": {"exact": 30.0}, "losses": {"total": 2.0}, "steps": 40, "at": 1001.0}, {"step": 20, "metrics": {"exact": 31.0}, "losses": {"total": 1.0}, "steps": 40, "at": 1002.0}]');
INSERT INTO exp_22222222222242228222222222222222.trial_user_attributes VALUES (11, 5, 'curve', '[{"step": 10, "metrics": {"exact": 45.0}, "losses": {"total": 2.0}, "steps": 40, "at": 1001.0}, {"step": 20, "metrics": {"exact": 47.0}, "losses": {"total": NaN}, "steps": 40, "at": 1002.0}]');
INSERT INTO exp_22222222222242228222222222222222.trial_user_attributes VALUES (13, 6, 'curve', '[{"step": 10, "metrics": {"exact": 50.0}, "losses": {"total": 2.0}, "steps": 40, "at": 1001.0}]');
INSERT INTO exp_22222222222242228222222222222222.trial_user_attributes VALUES (14, 1, 'ending', '{"state": "Completed", "reason": "Completed", "message": "measured", "expected": {}, "metrics": {"exact": 62.0, "HasAns_exact": 57.0, "NoAns_exact": 67.0, "parameter_count": 779906.0}, "source": "TerminationMessage", "seconds": 40.5, "gpus": 0.5, "model": "trials/00000/model", "ended": 1100.0}');
INSERT INTO exp_22222222222242228222222222222222.trial_user_attributes VALUES (7, 1, 'curve', '[{"step": 10, "metrics": {"exact": 40.0}, "losses": {"total": 2.0}, "steps": 40, "at": 1001.0}, {"step": 20, "metrics": {"exact": 55.0}, "losses": {"total": 1.0}, "steps": 40, "at": 1002.0}, {"step": 40, "metrics": {"exact": 62.0, "HasAns_exact": 57.0, "NoAns_exact": 67.0}, "losses": {}, "steps": 40, "at": 1100.0}]');
INSERT INTO exp_22222222222242228222222222222222.trial_user_attributes VALUES (16, 2, 'ending', '{"state": "Infeasible", "reason": "OutOfMemory", "message": "the GPU''s memory is too small", "expected": {}, "metrics": {"parameter_count": 444386.0}, "source": "TerminationMessage", "seconds": 3.0, "gpus": 0.5, "model": null, "ended": 1101.0}');
INSERT INTO exp_22222222222242228222222222222222.trial_user_attributes VALUES (17, 3, 'ending', '{"state": "Stopped", "reason": "CannotImprove", "message": "it is beaten", "expected": {"exact": 35.0}, "metrics": {"exact": 31.0, "parameter_count": 220706.0}, "source": "Scrape", "seconds": 12.0, "gpus": 0.5, "model": null, "ended": 1102.0}');
INSERT INTO exp_22222222222242228222222222222222.trial_user_attributes VALUES (18, 4, 'ending', '{"state": "Failed", "reason": "MetricsUnavailable", "message": "the trial ended without final metrics", "expected": {}, "metrics": {"parameter_count": 668066.0}, "source": "", "seconds": 9.0, "gpus": 0.5, "model": null, "ended": 1103.0}');
INSERT INTO exp_22222222222242228222222222222222.trial_user_attributes VALUES (19, 6, 'ending', '{"state": "Completed", "reason": "Completed", "message": "measured", "expected": {}, "metrics": {"exact": 57.0, "HasAns_exact": 52.0, "NoAns_exact": 62.0, "parameter_count": 332546.0}, "source": "TerminationMessage", "seconds": 33.0, "gpus": 0.5, "model": "trials/00005/model", "ended": 1104.0}');
INSERT INTO exp_22222222222242228222222222222222.trial_user_attributes VALUES (20, 7, 'suggestion', '{"parameters": {"temperature": 2, "epochs": 2, "learning_rate": 0.24271705101374358, "n_layers": 1, "layer_selection": "EvenlySpaced"}, "continues": 2, "started": 1110.0, "parameter_count": 220706}');
INSERT INTO exp_22222222222242228222222222222222.trial_user_attributes VALUES (21, 7, 'curve', '[{"step": 10, "metrics": {"exact": 30.0}, "losses": {"total": 2.0}, "steps": 40, "at": 1001.0}, {"step": 20, "metrics": {"exact": 31.0}, "losses": {"total": 1.0}, "steps": 40, "at": 1002.0}]');
INSERT INTO exp_22222222222242228222222222222222.trial_values VALUES (1, 1, 0, 62, 'FINITE');
INSERT INTO exp_22222222222242228222222222222222.trial_values VALUES (2, 1, 1, 779906, 'FINITE');
INSERT INTO exp_22222222222242228222222222222222.trial_values VALUES (3, 2, 0, 0, 'FINITE');
INSERT INTO exp_22222222222242228222222222222222.trial_values VALUES (4, 2, 1, 444386, 'FINITE');
INSERT INTO exp_22222222222242228222222222222222.trial_values VALUES (5, 3, 0, 31, 'FINITE');
INSERT INTO exp_22222222222242228222222222222222.trial_values VALUES (6, 3, 1, 220706, 'FINITE');
INSERT INTO exp_22222222222242228222222222222222.trial_values VALUES (7, 6, 0, 57, 'FINITE');
INSERT INTO exp_22222222222242228222222222222222.trial_values VALUES (8, 6, 1, 332546, 'FINITE');
INSERT INTO exp_22222222222242228222222222222222.trials VALUES (5, 4, 1, 'RUNNING', '1970-01-01 00:16:50', NULL);
INSERT INTO exp_22222222222242228222222222222222.trials VALUES (1, 0, 1, 'COMPLETE', '1970-01-01 00:16:50', '1970-01-01 00:18:20');
INSERT INTO exp_22222222222242228222222222222222.trials VALUES (2, 1, 1, 'COMPLETE', '1970-01-01 00:16:50', '1970-01-01 00:18:21');
INSERT INTO exp_22222222222242228222222222222222.trials VALUES (3, 2, 1, 'COMPLETE', '1970-01-01 00:16:50', '1970-01-01 00:18:22');
INSERT INTO exp_22222222222242228222222222222222.trials VALUES (4, 3, 1, 'FAIL', '1970-01-01 00:16:50', '1970-01-01 00:18:23');
INSERT INTO exp_22222222222242228222222222222222.trials VALUES (6, 5, 1, 'COMPLETE', '1970-01-01 00:16:50', '1970-01-01 00:18:24');
INSERT INTO exp_22222222222242228222222222222222.trials VALUES (7, 6, 1, 'RUNNING', '1970-01-01 00:18:30', NULL);
INSERT INTO exp_22222222222242228222222222222222.version_info VALUES (1, 12, '5.0.0');
SELECT pg_catalog.setval('exp_22222222222242228222222222222222.studies_study_id_seq', 1, true);
SELECT pg_catalog.setval('exp_22222222222242228222222222222222.study_directions_study_direction_id_seq', 2, true);
SELECT pg_catalog.setval('exp_22222222222242228222222222222222.study_system_attributes_study_system_attribute_id_seq', 1, false);
SELECT pg_catalog.setval('exp_22222222222242228222222222222222.study_user_attributes_study_user_attribute_id_seq', 5, true);
SELECT pg_catalog.setval('exp_22222222222242228222222222222222.trial_heartbeats_trial_heartbeat_id_seq', 1, false);
SELECT pg_catalog.setval('exp_22222222222242228222222222222222.trial_intermediate_values_trial_intermediate_value_id_seq', 1, false);
SELECT pg_catalog.setval('exp_22222222222242228222222222222222.trial_params_param_id_seq', 24, true);
SELECT pg_catalog.setval('exp_22222222222242228222222222222222.trial_system_attributes_trial_system_attribute_id_seq', 16, true);
SELECT pg_catalog.setval('exp_22222222222242228222222222222222.trial_user_attributes_trial_user_attribute_id_seq', 21, true);
SELECT pg_catalog.setval('exp_22222222222242228222222222222222.trial_values_trial_value_id_seq', 8, true);
SELECT pg_catalog.setval('exp_22222222222242228222222222222222.trials_trial_id_seq', 7, true);
ALTER TABLE ONLY exp_22222222222242228222222222222222.alembic_version
    ADD CONSTRAINT alembic_version_pkey PRIMARY KEY (version_num);
ALTER TABLE ONLY exp_22222222222242228222222222222222.studies
    ADD CONSTRAINT studies_pkey PRIMARY KEY (study_id);
ALTER TABLE ONLY exp_22222222222242228222222222222222.study_directions
    ADD CONSTRAINT study_directions_pkey PRIMARY KEY (study_direction_id);
ALTER TABLE ONLY exp_22222222222242228222222222222222.study_directions
    ADD CONSTRAINT study_directions_study_id_objective_key UNIQUE (study_id, objective);
ALTER TABLE ONLY exp_22222222222242228222222222222222.study_system_attributes
    ADD CONSTRAINT study_system_attributes_pkey PRIMARY KEY (study_system_attribute_id);
ALTER TABLE ONLY exp_22222222222242228222222222222222.study_system_attributes
    ADD CONSTRAINT study_system_attributes_study_id_key_key UNIQUE (study_id, key);
ALTER TABLE ONLY exp_22222222222242228222222222222222.study_user_attributes
    ADD CONSTRAINT study_user_attributes_pkey PRIMARY KEY (study_user_attribute_id);
ALTER TABLE ONLY exp_22222222222242228222222222222222.study_user_attributes
    ADD CONSTRAINT study_user_attributes_study_id_key_key UNIQUE (study_id, key);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trial_heartbeats
    ADD CONSTRAINT trial_heartbeats_pkey PRIMARY KEY (trial_heartbeat_id);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trial_heartbeats
    ADD CONSTRAINT trial_heartbeats_trial_id_key UNIQUE (trial_id);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trial_intermediate_values
    ADD CONSTRAINT trial_intermediate_values_pkey PRIMARY KEY (trial_intermediate_value_id);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trial_intermediate_values
    ADD CONSTRAINT trial_intermediate_values_trial_id_step_key UNIQUE (trial_id, step);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trial_params
    ADD CONSTRAINT trial_params_pkey PRIMARY KEY (param_id);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trial_params
    ADD CONSTRAINT trial_params_trial_id_param_name_key UNIQUE (trial_id, param_name);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trial_system_attributes
    ADD CONSTRAINT trial_system_attributes_pkey PRIMARY KEY (trial_system_attribute_id);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trial_system_attributes
    ADD CONSTRAINT trial_system_attributes_trial_id_key_key UNIQUE (trial_id, key);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trial_user_attributes
    ADD CONSTRAINT trial_user_attributes_pkey PRIMARY KEY (trial_user_attribute_id);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trial_user_attributes
    ADD CONSTRAINT trial_user_attributes_trial_id_key_key UNIQUE (trial_id, key);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trial_values
    ADD CONSTRAINT trial_values_pkey PRIMARY KEY (trial_value_id);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trial_values
    ADD CONSTRAINT trial_values_trial_id_objective_key UNIQUE (trial_id, objective);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trials
    ADD CONSTRAINT trials_pkey PRIMARY KEY (trial_id);
ALTER TABLE ONLY exp_22222222222242228222222222222222.version_info
    ADD CONSTRAINT version_info_pkey PRIMARY KEY (version_info_id);
CREATE UNIQUE INDEX ix_studies_study_name ON exp_22222222222242228222222222222222.studies USING btree (study_name);
CREATE INDEX ix_trials_study_id ON exp_22222222222242228222222222222222.trials USING btree (study_id);
ALTER TABLE ONLY exp_22222222222242228222222222222222.study_directions
    ADD CONSTRAINT study_directions_study_id_fkey FOREIGN KEY (study_id) REFERENCES exp_22222222222242228222222222222222.studies(study_id);
ALTER TABLE ONLY exp_22222222222242228222222222222222.study_system_attributes
    ADD CONSTRAINT study_system_attributes_study_id_fkey FOREIGN KEY (study_id) REFERENCES exp_22222222222242228222222222222222.studies(study_id);
ALTER TABLE ONLY exp_22222222222242228222222222222222.study_user_attributes
    ADD CONSTRAINT study_user_attributes_study_id_fkey FOREIGN KEY (study_id) REFERENCES exp_22222222222242228222222222222222.studies(study_id);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trial_heartbeats
    ADD CONSTRAINT trial_heartbeats_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES exp_22222222222242228222222222222222.trials(trial_id);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trial_intermediate_values
    ADD CONSTRAINT trial_intermediate_values_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES exp_22222222222242228222222222222222.trials(trial_id);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trial_params
    ADD CONSTRAINT trial_params_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES exp_22222222222242228222222222222222.trials(trial_id);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trial_system_attributes
    ADD CONSTRAINT trial_system_attributes_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES exp_22222222222242228222222222222222.trials(trial_id);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trial_user_attributes
    ADD CONSTRAINT trial_user_attributes_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES exp_22222222222242228222222222222222.trials(trial_id);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trial_values
    ADD CONSTRAINT trial_values_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES exp_22222222222242228222222222222222.trials(trial_id);
ALTER TABLE ONLY exp_22222222222242228222222222222222.trials
    ADD CONSTRAINT trials_study_id_fkey FOREIGN KEY (study_id) REFERENCES exp_22222222222242228222222222222222.studies(study_id);
